//! Files that are not read, and why.

use spacewright_core::{foreign::ModelFile, import::ImportError};
use spacewright_published_networks::readers;

use crate::files::{Published, Tensor, import, legacy_torch, safetensors};

#[track_caller]
fn refused(content: &[u8], expected: &[&str]) {
    let error = import(content, None).unwrap_err().to_string();
    for expected in expected {
        assert!(error.contains(expected), "{error}");
    }
}

/// The small network, changed.
#[track_caller]
fn changed(change: impl FnOnce(&mut Vec<Tensor>), expected: &[&str]) {
    let mut tensors = Published::timm("mobilenetv3_small_050").tensors;
    change(&mut tensors);
    refused(&safetensors(&tensors, None), expected);
}

fn find<'t>(tensors: &'t mut [Tensor], name: &str) -> &'t mut Tensor {
    tensors.iter_mut().find(|tensor| tensor.name == name).unwrap()
}

#[test]
fn every_difference_to_the_nearest_family_is_named() {
    changed(
        |tensors| {
            tensors.retain(|tensor| !tensor.name.starts_with("blocks.1.0.bn2.running"));
            let name = "blocks.2.0.conv_dw.weight".to_owned();
            *find(tensors, &name) = Tensor::new(name.clone(), vec![64, 1, 3, 3]);
            tensors.push(Tensor::new("head.norm.weight".into(), vec![3]));
        },
        &[
            "4 of its nodes cannot be imported",
            "`blocks.1.0.bn2.running_mean`: it is missing; MobileNetV3 small has it as [40]",
            "`blocks.1.0.bn2.running_var`: it is missing",
            "`blocks.2.0.conv_dw.weight`: it is [64, 1, 3, 3]; MobileNetV3 small has it as [64, 1, 5, 5]",
            "`head.norm.weight`: no layer of MobileNetV3 small uses it",
        ],
    );
}

#[test]
fn other_networks_of_such_names_are_refused() {
    // Kernels of MobileNetV2 in the place of MNASNet's, and a wider expansion.
    let mut tensors = Published::timm("mobilenetv2_050").tensors;
    for tensor in &mut tensors {
        if tensor.name == "blocks.3.1.conv_dw.weight" {
            *tensor = Tensor::new(tensor.name.clone(), vec![192, 1, 5, 5]);
        }
    }
    refused(
        &safetensors(&tensors, None),
        &["[192, 1, 5, 5]; MobileNetV2 has it as [192, 1, 3, 3]"],
    );
    // Squeeze and excitation in a ResNet.
    let mut tensors = Published::timm("resnet18").tensors;
    tensors.push(Tensor::new("layer1.0.se.fc1.weight".into(), vec![8, 64, 1, 1]));
    refused(&safetensors(&tensors, None), &["1 of its", "no layer of ResNet uses it"]);
    // The same tensors, but another way to make maps smaller.
    let tensors = Published::timm("resnet18").tensors;
    let blurred = safetensors(&tensors, Some("resnetblur18"));
    refused(
        &blurred,
        &[
            "its metadata, or `config.json` beside it, call it `resnetblur18`, its tensors are those of `resnet18`",
        ],
    );
    assert!(import(&safetensors(&tensors, Some("tv_resnet18")), None).is_ok());
    assert!(import(&safetensors(&tensors, Some("resnet18.a1_in1k")), None).is_ok());
}

#[test]
fn a_missing_stage_is_named() {
    changed(
        |tensors| tensors.retain(|tensor| !tensor.name.starts_with("blocks.5.")),
        &[
            "5 of its nodes",
            "`blocks.5.0.conv.weight`: it is missing; MobileNetV3 small has it as [any, 48, 1, 1]",
        ],
    );
    let mut tensors = Published::timm("resnet18").tensors;
    tensors.retain(|tensor| !tensor.name.starts_with("layer4."));
    refused(&safetensors(&tensors, None), &["`layer4.0.conv1.weight`: it is missing"]);
}

#[test]
fn numbers_are_real_and_finite() {
    changed(
        |tensors| find(tensors, "classifier.bias").data[7] = f32::NAN,
        &["tensor `classifier.bias`: it holds numbers that are not finite"],
    );
    changed(
        |tensors| find(tensors, "bn1.running_var").data[7] = -1e-3,
        &["tensor `bn1.running_var`: it holds variances below 0"],
    );
    let file = Published::timm("mobilenetv3_small_050").safetensors();
    let (from, to) = (&br#""bn1.bias":{"dtype":"F32""#[..], &br#""bn1.bias":{"dtype":"I32""#[..]);
    let at = file.windows(from.len()).position(|window| window == from).unwrap();
    let integers = [&file[..at], to, &file[at + from.len()..]].concat();
    refused(&integers, &["tensor `bn1.bias`: it holds int32; real numbers are expected"]);
}

#[test]
fn what_is_no_known_network_is_said() {
    let tensors = [Tensor::new("encoder.layer.0.weight".into(), vec![2, 2])];
    let expected = "its tensors begin with `encoder.layer.0.weight`; known are ResNet, MobileNetV2";
    refused(&safetensors(&tensors, None), &[expected, "hint:"]);
    refused(&legacy_torch(&tensors), &[expected]);
    refused(&safetensors(&[], None), &["it has no tensors"]);
    refused(b"PK\x03\x04rest", &["archives of torch are not read\nhint: save the state"]);
}

#[test]
fn sizes_of_the_input_are_checked() {
    let file = Published::timm("mobilenetv3_small_050").safetensors();
    let error = |side| import(&file, Some(side)).unwrap_err().to_string();
    assert_eq!(error(0), "a side of 0 pixels; 1 to 4096 are allowed");
    assert_eq!(error(u64::MAX), "a side of 18446744073709551615 pixels; 1 to 4096 are allowed");
    assert!(error(4096).contains("elements are allowed"), "{}", error(4096));
    let sizes = [("H".to_owned(), 64)].into();
    let error = readers()[0].read(&ModelFile::in_memory(&file), &sizes).unwrap_err();
    assert_eq!(error.to_string(), "no open size is called `H`: open are `side`");
    assert!(import(&file, Some(1)).is_ok());
}

#[test]
fn files_of_torch_are_whole() {
    let tensors =
        vec![Tensor::new("a.weight".into(), vec![2, 3]), Tensor::new("b".into(), vec![4])];
    let file = legacy_torch(&tensors);
    refused(
        &file[..file.len() - 1],
        &["the storage `1` of 4 elements is longer than the 15 bytes"],
    );
    refused(&[&file[..], b"x"].concat(), &["1 bytes follow the last storage"]);
    let at = file.len() - 16 - 8;
    let more = [&file[..at], &u64::MAX.to_le_bytes(), &file[at + 8..]].concat();
    refused(&more, &["`1` has 18446744073709551615 elements; 4 are announced"]);
}

#[test]
fn tensors_of_torch_are_no_more_than_what_is_stored() {
    let tensors =
        [Tensor::new("a".into(), vec![2, 3]), Tensor::new("b".into(), vec![1, 1, 1, 1, 1, 600])];
    let file = legacy_torch(&tensors);
    // Both have the storage of the second one, and then the first one's is nobody's.
    let (from, to) = (&b"X\x01\0\0\x000X\x03\0\0\0cpuJ\x06"[..], &b"X\x01\0\0\x001X"[..]);
    let at = file.windows(from.len()).position(|window| window == from).unwrap();
    let shared = [&file[..at], to, &file[at + to.len()..]].concat();
    refused(&shared, &["the storage `0` belongs to no tensor"]);
    // A shape of which a storage has only a part.
    let (from, to) = (&b"(J\x02\0\0\0J\x03\0\0\0t"[..], &b"(J\x02\0\0\0J\x04\0\0\0t"[..]);
    let at = file.windows(from.len()).position(|window| window == from).unwrap();
    let larger = [&file[..at], to, &file[at + to.len()..]].concat();
    refused(&larger, &["the tensor `a` lies outside of its storage"]);
    // Two tensors in one storage.
    let tensors = vec![Tensor::new("a".into(), vec![8]), Tensor::new("b".into(), vec![8])];
    let file = legacy_torch(&tensors);
    let end = file.windows(4).position(|window| window == b"u.\x80\x02").unwrap();
    let (from, to) = (&b"X\x01\0\0\x001X"[..], &b"X\x01\0\0\x000X"[..]);
    let at = file.windows(from.len()).position(|window| window == from).unwrap();
    let keys = b"u.\x80\x02](X\x01\0\0\x000e.";
    let storage = [&8u64.to_le_bytes()[..], &[0; 32]].concat();
    let shared = [&file[..at], to, &file[at + to.len()..end], keys, &storage].concat();
    refused(&shared, &["its tensors have more elements than its storages"]);
}

/// A number that stands in for chance.
fn step(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn no_damage_makes_a_reader_panic() {
    let mut tensors = Published::timm("mobilenetv3_small_050").tensors;
    tensors.retain(|tensor| tensor.shape.len() < 2);
    let files = [safetensors(&tensors[..60], None), legacy_torch(&tensors[..60])];
    let mut state = 7;
    for (file, reader) in files.iter().zip(readers()) {
        let head = file.len().min(4000);
        for _ in 0..3000 {
            let mut damaged = file.clone();
            for _ in 0..1 + step(&mut state) % 3 {
                let (at, byte) = (step(&mut state) % head, step(&mut state) as u8);
                damaged[at] = byte;
            }
            if step(&mut state).is_multiple_of(4) {
                damaged.truncate(step(&mut state) % file.len());
            }
            let read = reader.read(&ModelFile::in_memory(&damaged), &Default::default());
            assert!(matches!(read, Err(ImportError::Unreadable(_) | ImportError::Unknown(_))));
        }
    }
}

#[test]
fn shapes_of_any_size_are_differences() {
    let names =
        ["conv_stem.weight", "bn1.weight", "blocks.0.0.conv_dw.weight", "classifier.weight"];
    for name in names {
        for shape in [vec![], vec![0; 4], vec![usize::MAX >> 4, 0, 3, 3], vec![0, usize::MAX >> 4]]
        {
            let mut tensors = Published::timm("mobilenetv3_small_050").tensors;
            let tensor = find(&mut tensors, name);
            let data = vec![0.0; shape.iter().product()];
            *tensor = Tensor { name: name.into(), shape, data };
            let file = safetensors(&tensors, None);
            let Err(ImportError::Unknown(nodes)) = import(&file, None) else { panic!("{name}") };
            assert!(nodes.iter().all(|node| node.operator == "tensor"), "{nodes:?}");
        }
    }
}
