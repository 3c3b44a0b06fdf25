//! Pickles made by hand.

use super::*;
use crate::tensors::Element;

fn value(bytes: &[u8]) -> Value<'_> {
    load(bytes, 0).unwrap().value
}

#[track_caller]
fn refused(bytes: &[u8], at: usize, expected: &str) {
    let error = load(bytes, 0).unwrap_err();
    assert_eq!(error.at, at, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

/// A dictionary with one tensor of 2 × 3 numbers, `a`, as `torch.save` writes it.
fn one_tensor() -> Vec<u8> {
    [
        &b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01"[..],
        b"(X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n",
        b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x02\0\0\x0042X\x03\0\0\0cpuK\x06NtQ",
        b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89h\x00)RtRu",
        b"}X\x09\0\0\0_metadatah\x01sb.",
    ]
    .concat()
}

#[test]
fn plain_values_are_read() {
    assert_eq!(value(b"\x80\x02M\xe9\x03."), Value::Int(1001));
    assert_eq!(value(b"J\xff\xff\xff\xff."), Value::Int(-1));
    assert_eq!(value(b"\x8a\x01\xfe."), Value::Int(-2));
    assert_eq!(value(b"X\x02\0\0\0\xc3\xa4."), Value::Text("ä"));
    let list = load(b"](\x88Ne.rest", 0).unwrap();
    assert_eq!(list.list(list.value), Some(&[Value::Bool(true), Value::None][..]));
    assert_eq!(list.end, 6);
}

#[test]
fn a_tensor_is_a_part_of_a_storage() {
    let bytes = one_tensor();
    let pickle = load(&bytes, 0).unwrap();
    let [(Value::Text("a"), Value::Tensor(tensor))] = *pickle.dict(pickle.value).unwrap() else {
        panic!("{pickle:?}");
    };
    let (tensor, storage) = pickle.tensor(tensor).unwrap();
    let expected = StorageSpec { element: Element::F32, key: "42", elements: 6 };
    assert_eq!(*storage, expected);
    assert_eq!((&tensor.shape[..], &tensor.strides[..]), (&[2, 3][..], &[3, 1][..]));
}

#[test]
fn only_names_that_tensors_need_are_looked_up() {
    refused(b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", 2, "`os.system` is nothing that files");
    refused(b"cbuiltins\neval\n.", 0, "`builtins.eval`");
    refused(b"ctorch\nload\n.", 0, "`torch.load`");
    refused(b"ccollections\nOrderedDict\n]R.", 26, "expected a tuple, found a list");
    refused(b"ctorch\nFloatStorage\n)R.", 21, "expected a name that can be called");
    refused(b"K\x01\x85Q.", 3, "expected the description of a whole storage");
}

#[test]
fn other_operations_are_not_read() {
    // An instance, a global by the stack, a reduction by a class, a newer protocol.
    for operation in *b"io\x81\x93PIFSVd0l" {
        refused(&[b'N', operation], 1, "does not occur in files of tensors");
    }
    refused(b"\x80\x04.", 0, "protocol 4 is not read");
}

#[test]
fn lengths_are_those_of_the_file() {
    refused(b"X\xff\xff\xff\xffabc", 0, "4294967295 bytes are announced, 3 are left");
    refused(b"N\x8a\x09abc", 1, "9 bytes are announced");
    refused(b"ccollections", 0, "ends within a pickle");
    refused(b"", 0, "ends within a pickle");
    refused(b"X\x01\0\0\0\xff.", 0, "not in UTF-8");
    let tuple = [&b"("[..], &b"K\x01".repeat(9), b"t"].concat();
    let bytes = one_tensor();
    let at = bytes.windows(5).position(|window| window == b"K\x02K\x03\x86").unwrap();
    let many = [&bytes[..at], &tuple, &bytes[at + 5..]].concat();
    assert!(load(&many, 0).unwrap_err().to_string().contains("a tensor of 9 dimensions"));
}

#[test]
fn the_stack_is_never_left() {
    refused(b".", 0, "the stack is empty");
    refused(b"N\x86.", 1, "the stack is empty");
    refused(b"N(\x85.", 2, "the stack is empty");
    refused(b"N(.", 2, "the stack is empty");
    refused(b"Nt.", 1, "there is no mark");
    refused(b"h\x07.", 0, "nothing is remembered as 7");
    refused(b"}(Nu.", 3, "a key without a value");
    refused(b"N(NNu.", 4, "expected a dictionary, found nothing");
    refused(b"Ne.", 1, "there is no mark");
    refused(b"N)b.", 2, "expected a dictionary, found nothing");
}

#[test]
fn operations_are_counted() {
    let bytes = b"N".repeat(MOST_OPERATIONS + 1);
    refused(&bytes, MOST_OPERATIONS, "more than 1048576 operations");
}

#[test]
fn a_value_can_hold_itself() {
    let list = load(b"]q\x00(h\x00e.", 0).unwrap();
    assert_eq!(list.list(list.value), Some(&[list.value][..]));
}

#[test]
fn no_change_of_a_byte_and_no_cut_makes_it_panic() {
    let bytes = one_tensor();
    for at in 0..bytes.len() {
        assert!(load(&bytes[..at], 0).is_err());
        for byte in 0..=255 {
            let mut changed = bytes.clone();
            changed[at] = byte;
            let _ = load(&changed, 0);
        }
    }
}
