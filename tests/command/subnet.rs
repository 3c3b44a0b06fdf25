use insta::assert_snapshot;

use crate::{json, refusal, text};

const VNNI_A0: &str = "d1#1#2#2#2#2#2#1_k3#3#3#3#3#3#3#3#3#3#3#3#3_w16#16#32#32#64#64#112#112#144#144#240#240#320_e0#0.5#4.0#4.0#1.0#1.0#4.0#4.0#4.0#4.0#4.0#4.0#4.0_r160";

#[test]
fn show() {
    let shown = format!("subnet show --space onnxw-151122-023231 {VNNI_A0}");
    assert_snapshot!(text(&shown), @"
    subnet  d1#1#2#2#2#2#2#1_k3#3#3#3#3#3#3#3#3#3#3#3#3_w16#16#32#32#64#64#112#112#144#144#240#240#320_e0#0.5#4.0#4.0#1.0#1.0#4.0#4.0#4.0#4.0#4.0#4.0#4.0_r160
    space   onnxw-151122-023231
    macs    163,479,488
    params  7,795,272

    stage         block             blocks  input      output         macs   params
    first_conv    conv                   1  3x160x160  16x80x80    2764800      464
    stage0        resnet                 1  16x80x80   16x80x80    5324800      896
    stage1        mobilenet-v2-res       2  16x80x80   32x40x40   26521600    14464
    stage2        fused-mbconv-res       2  32x40x40   64x20x20   21708800    54848
    stage3        mobilenet-v2-res       2  64x20x20   112x10x10  20806400   162400
    stage4        mobilenet-v2-res       2  112x10x10  144x10x10  30592000   310880
    stage5        mobilenet-v3-res       2  144x10x10  240x5x5    25106688  1366560
    stage6        mobilenet-v3-res       1  240x5x5    320x5x5    16036800  1090160
    final_expand  conv                   1  320x5x5    1280x5x5   10240000   412160
    feature_mix   feature-mix            1  1280x5x5   1920x1x1    2457600  2461440
    logits        logits                 1  1920x1x1   1000x1x1    1920000  1921000
    ");
    let subnet = json(&shown);
    assert_eq!(subnet["macs"], 163_479_488);
    assert_eq!(subnet["params"], 7_795_272);
    assert_eq!(subnet["stages"][2]["output"]["channels"], 32);
}

#[test]
fn block_types_are_concluded_where_only_one_fits() {
    let plain = "d1#1#1#1#1_k3#3#3#3#3_w16#16#32#64#80_e0#0#0#0#0_r32";
    assert_eq!(json(&format!("subnet show --hyperspace mini {plain}"))["space"], "mini-0000-0000");
    assert_snapshot!(refusal(&format!("subnet show --hyperspace onnxw {VNNI_A0}")), @"
    error: `d1#1#2#2#2#2#2#1_k3#3#3#3#3#3#3#3#3#3#3#3#3_w16#16#32#32#64#64#112#112#144#144#240#240#320_e0#0.5#4.0#4.0#1.0#1.0#4.0#4.0#4.0#4.0#4.0#4.0#4.0_r160`: stage `stage1` may be of block type 1 (mobilenet-v2-res), 2 (mobilenet-v3-res), 5 (fused-mbconv-res)
    hint: say which with --space
    ");
}

#[test]
fn errors_name_field_and_position() {
    let show =
        |subnet: String| refusal(&format!("subnet show --space onnxw-151122-023231 {subnet}"));
    assert_snapshot!(show(VNNI_A0.replace("r160", "r161")), @"error: `d1#1#2#2#2#2#2#1_k3#3#3#3#3#3#3#3#3#3#3#3#3_w16#16#32#32#64#64#112#112#144#144#240#240#320_e0#0.5#4.0#4.0#1.0#1.0#4.0#4.0#4.0#4.0#4.0#4.0#4.0_r161`: r: found `161`, allowed: 160, 176, 192, 208, 224");
    assert_snapshot!(show(VNNI_A0.replace("e0#0.5", "e0#0.6")), @"error: `d1#1#2#2#2#2#2#1_k3#3#3#3#3#3#3#3#3#3#3#3#3_w16#16#32#32#64#64#112#112#144#144#240#240#320_e0#0.6#4.0#4.0#1.0#1.0#4.0#4.0#4.0#4.0#4.0#4.0#4.0_r160`: e, position 2: found `0.6`, allowed: 0.5 in `stage0`");
    assert_snapshot!(show("nonsense".into()), @"error: `nonsense`: d: found `nonsense`, allowed: `d…_k…_w…_e…_r…`, each letter followed by numbers joined by `#`");
    assert!(refusal(&format!("subnet show {VNNI_A0}")).contains("--hyperspace"));
}
