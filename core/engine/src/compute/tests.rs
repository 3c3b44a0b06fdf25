use serde_json::json;
use spacewright_core::study::SectionKind;

use super::*;

fn settings(device: &str, precision: &str) -> ComputeSettings {
    let (device, precision) = (device.parse().unwrap(), precision.parse().unwrap());
    ComputeSettings { device, precision, ..ComputeSettings::default() }
}

#[test]
fn choices_are_read_as_they_are_written() {
    for text in ["auto", "cpu", "cuda:0", "cuda:2"] {
        assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
    }
    assert_eq!("cuda".parse(), Ok(DeviceChoice::On(Device::Cuda(0))));
    let error = "gpu".parse::<DeviceChoice>().unwrap_err().to_string();
    assert!(error.starts_with("`gpu` is no device; allowed are `auto`, `cpu`, `cuda`"), "{error}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let kind = SectionKind::of::<ComputeSettings>();
    let refused = |given| kind.complete(&given).unwrap_err().to_string();
    assert_eq!(
        refused(json!({ "device": "cpu", "precision": "tf32" })),
        "[compute] precision: `tf32` is a format of GPUs, and the CPU computes"
    );
    assert_eq!(
        refused(json!({ "device": "cuda:one" })),
        "[compute] device: `cuda:one` is no device; allowed are `auto`, `cpu`, `cuda`, and `cuda:1` \
         for the second NVIDIA GPU"
    );
    assert!(refused(json!({ "device": 1 })).contains("[compute] device: invalid type"));
    assert_eq!(
        refused(json!({ "precision": "fp16" })),
        "[compute] precision: unknown variant `fp16`, expected one of `fp32`, `tf32`, `bf16`"
    );
    kind.complete(&json!({ "precision": "tf32" })).unwrap();
}

#[test]
fn processes_share_the_threads_of_a_machine() {
    let registry = Registry::default();
    let threads = |processes, threads| {
        let settings = ComputeSettings { processes, ..settings("cpu", "fp32") };
        let Compute { threads, processes, .. } =
            settings.choose(&registry, threads).unwrap().compute;
        (threads, processes)
    };
    assert_eq!(threads(1, Threads::InAll(8)), (8, 1));
    assert_eq!(threads(4, Threads::InAll(8)), (2, 4));
    assert_eq!(threads(4, Threads::InAll(2)), (1, 4));
    assert_eq!(threads(4, Threads::OfEach(8)), (8, 4));
    let none = SectionKind::of::<ComputeSettings>().complete(&json!({ "processes": 0 }));
    let refused = "[compute] processes: 0 is not between 1 and 4096";
    assert_eq!(none.unwrap_err().to_string(), refused);
    let flags = ComputeSettings { processes: 0, ..settings("cpu", "fp32") };
    let none = flags.choose(&registry, Threads::InAll(8)).err().map(|error| error.to_string());
    assert_eq!(none.as_deref(), Some(refused));
}

#[test]
fn what_computes_by_itself_is_a_gpu_only_where_there_is_a_driver() {
    let registry = Registry::default();
    let choose = |device, precision, has_driver| {
        settings(device, precision).choose_with(&registry, Threads::InAll(2), || has_driver)
    };
    let device = |chosen: Result<Chosen, FieldError>| chosen.unwrap().compute.device;
    assert_eq!(device(choose("auto", "bf16", false)), Device::Cpu);
    assert_eq!(device(choose("auto", "fp32", true)), Device::Cpu, "there is no trainer");
    assert_eq!(device(choose("cuda:1", "tf32", false)), Device::Cuda(1));
    let error = choose("auto", "tf32", false).err().unwrap();
    assert!(error.to_string().ends_with("and the CPU computes, as no GPU can be used here"));
    let unasked =
        settings("cpu", "fp32").choose_with(&registry, Threads::InAll(2), || panic!("was asked"));
    assert_eq!(device(unasked), Device::Cpu);
}
