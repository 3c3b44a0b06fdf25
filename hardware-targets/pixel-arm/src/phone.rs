//! What a phone says of itself.

use std::collections::BTreeMap;

use crate::adb::{Adb, AdbError, quote};

/// Facts about a phone, and the shell commands that print them.
const FACTS: [(&str, &str); 5] = [
    ("phone", "getprop ro.product.model"),
    ("soc", "getprop ro.soc.model"),
    ("platform", "getprop ro.board.platform"),
    ("android", "getprop ro.build.version.release"),
    ("build", "getprop ro.build.fingerprint"),
];

/// What is known of the phone, of the governor of one of its cores, and of the content of
/// `benchmark_model`, which does not print its version. What the phone does not know is missing.
pub(crate) fn describe(
    adb: &Adb,
    core: u32,
    program: &str,
) -> Result<BTreeMap<String, String>, AdbError> {
    let file = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
    let governor = ("governor", format!("cat {file}"));
    let program = quote(program);
    let hash = ("program", format!("sha256sum {program} || md5sum {program}"));
    let facts = FACTS.iter().map(|(name, command)| (*name, (*command).to_owned()));
    let script: Vec<String> = facts
        .chain([governor, hash])
        .map(|(name, command)| format!("echo {name}=\"$( ( {command} ) 2>/dev/null )\""))
        .collect();
    let mut facts = read_facts(&adb.shell(&script.join("; "))?.output);
    let hash = facts.remove("program").unwrap_or_default();
    let hash = hash.split_whitespace().next().unwrap_or("of unknown content");
    facts.insert("runtime".into(), format!("benchmark_model {hash}"));
    Ok(facts)
}

fn read_facts(output: &str) -> BTreeMap<String, String> {
    let facts = output.lines().filter_map(|line| line.split_once('='));
    let known = facts.filter(|(_, value)| !value.trim().is_empty());
    known.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// The core with the highest frequency, the last of several; none where the phone does not tell.
pub(crate) fn fastest_core(adb: &Adb) -> Result<Option<u32>, AdbError> {
    let script =
        "cd /sys/devices/system/cpu && grep . cpu[0-9]*/cpufreq/cpuinfo_max_freq /dev/null";
    Ok(read_cores(&adb.shell(script)?.output))
}

/// The core with the highest frequency, from lines `cpu7/cpufreq/cpuinfo_max_freq:2841600`.
fn read_cores(output: &str) -> Option<u32> {
    let core = |line: &str| {
        let (file, frequency) = line.trim().split_once(':')?;
        let (core, _) = file.strip_prefix("cpu")?.split_once('/')?;
        let core = core.parse::<u32>().ok().filter(|core| *core < u64::BITS)?;
        Some((frequency.trim().parse::<u64>().ok()?, core))
    };
    output.lines().filter_map(core).max().map(|(_, core)| core)
}

/// The `taskset` mask of one core.
pub(crate) fn mask(core: u32) -> String {
    format!("{:x}", 1u64 << core)
}

/// The highest core of a `taskset` mask; none where it is no mask.
pub(crate) fn core_of(mask: &str) -> Option<u32> {
    u64::from_str_radix(mask, 16).ok()?.checked_ilog2()
}

/// Temperature of the battery in °C; none where the phone does not tell.
pub(crate) fn temperature(adb: &Adb) -> Result<Option<f64>, AdbError> {
    Ok(read_temperature(&adb.shell("dumpsys battery")?.output))
}

/// In tenths of a degree.
fn read_temperature(output: &str) -> Option<f64> {
    let line = |line: &str| line.trim().strip_prefix("temperature:")?.trim().parse::<i32>().ok();
    output.lines().find_map(line).map(|tenths| f64::from(tenths) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_core_is_the_last_of_several() {
        let pixel_6 = "cpu0/cpufreq/cpuinfo_max_freq:1803000\n\
                       cpu10/cpufreq/cpuinfo_max_freq:2253000\n\
                       cpu6/cpufreq/cpuinfo_max_freq:2802000\n\
                       cpu7/cpufreq/cpuinfo_max_freq:2802000\r\n\
                       grep: cpu8/cpufreq/cpuinfo_max_freq: Permission denied\n";
        assert_eq!(read_cores(pixel_6), Some(7));
        assert_eq!(read_cores("grep: no such file"), None);
        assert_eq!(read_cores("cpu64/cpufreq/cpuinfo_max_freq:1\n"), None);
    }

    #[test]
    fn masks_name_cores() {
        assert_eq!([mask(0), mask(7), mask(63)], ["1", "80", "8000000000000000"]);
        let cores = ["f0", "80", "0", "", "0x80", "g"].map(core_of);
        assert_eq!(cores, [Some(7), Some(7), None, None, None, None]);
    }

    #[test]
    fn temperatures_are_in_tenths() {
        let battery = "Current Battery Service state:\n  level: 87\n  temperature: 285\n";
        assert_eq!(read_temperature(battery), Some(28.5));
        assert_eq!(read_temperature("temperature: warm"), None);
    }

    #[test]
    fn unknown_facts_are_missing() {
        let facts = read_facts("phone=Pixel 4\nsoc=\r\nbuild=google/flame:13/a=b\nnoise\n");
        let expected = [("phone", "Pixel 4"), ("build", "google/flame:13/a=b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(facts, BTreeMap::from(expected));
    }
}
