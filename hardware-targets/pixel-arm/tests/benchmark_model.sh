#!/bin/sh
# Stands in for benchmark_model, with figures of a Pixel 4; keeps the model that it was given.
here=$(dirname "$0")
for word; do
    case $word in --graph=*) cp "${word#--graph=}" "$here/seen" ;; esac
done
case $SCENARIO in
fails)
    echo 'ERROR: Didn'\''t find op for builtin opcode CONV_2D version 99'
    echo 'ERROR: Failed to initialize the interpreter'
    exit 1
    ;;
garbage) echo 'segmentation of something'; exit 0 ;;
esac
echo round >> "$here/rounds"
count=$(grep -c round "$here/rounds")
echo 'INFO: STARTING!' >&2
echo 'INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.'
echo 'INFO: Running benchmark for at least 5 iterations and at least 0.5 seconds but terminate if exceeding 20 seconds.'
echo 'INFO: count=12 first=43000 curr=41080 min=40900 max=43000 avg=41500.5 std=500'
echo
percentiles=" p5=4${count}050 median=4${count}500 p95=4${count}900"
[ "$SCENARIO" = old ] && percentiles=
echo "INFO: count=50 first=41203 curr=41080 min=4${count}000 max=4${count}990 avg=4${count}600.2 std=410$percentiles"
echo
echo 'INFO: Inference timings in us: Init: 5388, First inference: 43000, Warmup (avg): 41500.5, Inference (avg): 41600.2'
