//! What of this machine's processor decides the speed of the runtime's kernels.

/// Flags that choose between kernels, by their names in `/proc/cpuinfo`.
const FLAGS: [&str; 8] =
    ["avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm"];

/// Model and relevant flags, such as `AMD EPYC [avx2]`; the architecture alone where the system
/// does not tell.
pub fn describe() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .map_or_else(|_| std::env::consts::ARCH.to_owned(), |text| parse(&text))
}

/// How the system sets the clock, such as `performance`; `None` where it does not tell.
pub fn governor() -> Option<String> {
    let file = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    Some(std::fs::read_to_string(file).ok()?.trim().to_owned())
}

/// Whether this processor adds products of 8-bit integers in 32 bits (AVX-512 VNNI or AVX-VNNI),
/// so that full 8-bit weights are exact.
pub fn has_vnni() -> bool {
    describe().contains("vnni")
}

fn parse(text: &str) -> String {
    let field = |names: &[&str]| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            names.contains(&key.trim()).then(|| value.trim())
        })
    };
    let model = field(&["model name", "CPU part"]).unwrap_or(std::env::consts::ARCH);
    let present: Vec<&str> =
        field(&["flags", "Features"]).unwrap_or_default().split_whitespace().collect();
    let flags: Vec<&str> = FLAGS.into_iter().filter(|flag| present.contains(flag)).collect();
    format!("{model} [{}]", flags.join(" "))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn model_and_flags() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx avx2 avx512_vnni\n";
        assert_eq!(parse(text), "AMD EPYC [avx2 avx512_vnni]");
        let text = "Features\t: fp asimd asimddp\nCPU part\t: 0xd0c\n";
        assert_eq!(parse(text), "0xd0c [asimd asimddp]");
    }
}
