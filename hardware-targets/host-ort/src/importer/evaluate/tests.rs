use super::*;
use crate::proto::AttributeProto;

fn real(shape: &[usize], numbers: &[f32]) -> Constant {
    Constant { shape: shape.to_vec(), elements: Elements::Real(numbers.to_vec()) }
}

fn run(
    operator: &str,
    attributes: &[(&str, i64, &[i64])],
    inputs: &[Constant],
) -> Result<Constant, String> {
    let attribute = |(name, i, ints): &(&str, i64, &[i64])| AttributeProto {
        name: (*name).into(),
        i: *i,
        ints: ints.to_vec(),
        ..AttributeProto::default()
    };
    let node = NodeProto {
        op_type: operator.into(),
        attribute: attributes.iter().map(attribute).collect(),
        ..NodeProto::default()
    };
    let inputs: Vec<_> = inputs.iter().map(|input| Some(Rc::new(input.clone()))).collect();
    evaluate(&node, &inputs)
}

fn ints(numbers: &[i64]) -> Constant {
    Constant::integers(numbers.to_vec())
}

#[test]
fn arithmetic_repeats_sizes_of_one() {
    let column = real(&[2, 1], &[1.0, 2.0]);
    let row = real(&[3], &[10.0, 20.0, 30.0]);
    let sum = run("Add", &[], &[column, row]).unwrap();
    assert_eq!(sum, real(&[2, 3], &[11.0, 21.0, 31.0, 12.0, 22.0, 32.0]));
    assert_eq!(run("Div", &[], &[ints(&[7]), ints(&[2])]), Ok(ints(&[3])));
    assert!(run("Div", &[], &[ints(&[7]), ints(&[0])]).unwrap_err().contains("overflows"));
    assert!(run("Add", &[], &[ints(&[1]), real(&[1], &[1.0])]).is_err());
    assert!(run("Add", &[], &[ints(&[1, 2]), ints(&[1, 2, 3])]).is_err());
}

/// As PyTorch writes the padding of a map: pairs from the last axis, put into the order of ONNX.
#[test]
fn paddings_are_put_into_order() {
    let zeros = run("ConstantOfShape", &[], &[ints(&[4])]).unwrap();
    let zeros = run("Cast", &[("to", 7, &[])], &[zeros]).unwrap();
    let all = run("Concat", &[("axis", 0, &[])], &[ints(&[0, 1, 2, 3]), zeros]).unwrap();
    let pairs = run("Reshape", &[], &[all, ints(&[-1, 2])]).unwrap();
    let (from, to, axis, step) = (ints(&[-1]), ints(&[i64::MIN]), ints(&[0]), ints(&[-1]));
    let turned = run("Slice", &[], &[pairs, from, to, axis, step]).unwrap();
    let turned = run("Transpose", &[("perm", 0, &[1, 0])], &[turned]).unwrap();
    let pads = run("Reshape", &[], &[turned, ints(&[-1])]).unwrap();
    assert_eq!(pads, ints(&[0, 0, 2, 0, 0, 0, 3, 1]));
}

#[test]
fn parts_are_taken_and_dimensions_of_one_come_and_go() {
    let table = real(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let row = run("Gather", &[], &[table.clone(), ints(&[-1])]).unwrap();
    assert_eq!(row, real(&[1, 2], &[3.0, 4.0]));
    let (from, to, axis) = (ints(&[1]), ints(&[9]), ints(&[1]));
    let column = run("Slice", &[], &[table.clone(), from, to, axis]).unwrap();
    assert_eq!(column, real(&[2, 1], &[2.0, 4.0]));
    let (from, to, axis, step) = (ints(&[-9]), ints(&[-9]), ints(&[0]), ints(&[-1]));
    let back = run("Slice", &[], &[ints(&[3, 4]), from, to, axis, step]).unwrap();
    assert_eq!(back, ints(&[3]));
    assert_eq!(run("Squeeze", &[], std::slice::from_ref(&column)).unwrap().shape, [2]);
    assert_eq!(run("Unsqueeze", &[], &[column, ints(&[0, -1])]).unwrap().shape, [1, 2, 1, 1]);
    let wide = run("Concat", &[("axis", 1, &[])], &[table.clone(), table]).unwrap();
    assert_eq!(wide, real(&[2, 4], &[1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]));
}

#[test]
fn integers_are_limited_and_cast_as_such() {
    assert_eq!(run("Clip", &[], &[ints(&[-5, 9]), ints(&[0]), ints(&[6])]), Ok(ints(&[0, 6])));
    assert_eq!(run("Clip", &[], &[ints(&[-5, 9]), real(&[], &[-1.5])]), Ok(ints(&[-1, 9])));
    let halved = run("Cast", &[("to", 6, &[])], &[ints(&[i64::MAX, 7])]);
    assert_eq!(halved, Ok(ints(&[-1, 7])));
}

#[test]
fn integers_that_no_real_number_holds_stay_exact() {
    // The first that single precision rounds.
    let odd = (1 << 24) + 1;
    assert_eq!(run("Neg", &[], &[ints(&[odd])]), Ok(ints(&[-odd])));
    for kept in ["Ceil", "Floor", "Relu"] {
        assert_eq!(run(kept, &[], &[ints(&[odd])]), Ok(ints(&[odd])), "{kept}");
    }
    let limited = run("Clip", &[], &[ints(&[0, 1 << 30]), ints(&[odd]), ints(&[odd + 2])]);
    assert_eq!(limited, Ok(ints(&[odd, odd + 2])));
    assert_eq!(run("Clip", &[], &[ints(&[i64::MIN, i64::MAX])]), Ok(ints(&[i64::MIN, i64::MAX])));
    assert!(run("Neg", &[], &[ints(&[i64::MIN])]).unwrap_err().contains("overflows"));
}

#[test]
fn sizes_of_zero_stay_where_they_are_allowed() {
    let reshaped = |allows: i64, asked: &[i64]| {
        let allows: (&str, i64, &[i64]) = ("allowzero", allows, &[]);
        run("Reshape", &[allows], &[real(&[2, 0], &[]), ints(asked)]).map(|made| made.shape)
    };
    assert_eq!(reshaped(0, &[0, 0]), Ok(vec![2, 0]));
    assert_eq!(reshaped(1, &[0, 3]), Ok(vec![0, 3]));
    assert!(reshaped(0, &[0, 3]).is_err());
}

#[test]
fn what_would_be_too_large_is_not_made() {
    let large = ints(&[1 << 40, 1 << 40]);
    assert!(run("ConstantOfShape", &[], &[large]).unwrap_err().contains("is too large"));
    let thin = real(&[0], &[]);
    assert!(run("Gather", &[], &[thin, ints(&[3])]).is_err());
    let column = run("ConstantOfShape", &[], &[ints(&[1 << 20, 1])]).unwrap();
    let row = run("ConstantOfShape", &[], &[ints(&[1, 1 << 20])]).unwrap();
    assert!(run("Mul", &[], &[column, row]).unwrap_err().contains("is too large"));

    // What has no elements takes no room, however large its other dimensions are.
    let hollow = |rows: usize| real(&[rows, 0], &[]);
    let large = hollow(1 << 40);
    let sum = run("Add", &[], &[large.clone(), large.clone()]);
    assert_eq!(sum, Ok(large.clone()));
    let turned = run("Transpose", &[], std::slice::from_ref(&large));
    assert_eq!(turned, Ok(real(&[0, 1 << 40], &[])));
    for (axis, rows) in [(0, 1 << 41), (1, 1 << 40)] {
        let joined = run("Concat", &[("axis", axis, &[])], &[large.clone(), large.clone()]);
        assert_eq!(joined, Ok(hollow(rows)));
    }
    for (from, to, step, rows) in [(0, i64::MAX, 2, 1 << 39), (-1, i64::MIN, -1, 1 << 40)] {
        let (from, to, axis, step) = (ints(&[from]), ints(&[to]), ints(&[0]), ints(&[step]));
        let slice = run("Slice", &[], &[large.clone(), from, to, axis, step]);
        assert_eq!(slice, Ok(hollow(rows)));
    }
    let unread = Constant { shape: vec![1 << 40], elements: Elements::Other("int4".into()) };
    let slice = run("Slice", &[], &[unread, ints(&[0]), ints(&[i64::MAX])]);
    assert_eq!(slice.unwrap_err(), "a constant of int4");
}
