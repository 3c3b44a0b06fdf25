#!/bin/sh
# Stands in for adb: notes what it is asked, and runs what a phone would run in the folder beside
# it. The file `scenario` says what goes wrong.
here=$(dirname "$0")
scenario=$(cat "$here/scenario")
printf '%s\n' "$*" >> "$here/log"

if [ "$1" = devices ]; then
    echo '* daemon not running; starting now at tcp:5037'
    echo 'List of devices attached'
    case $scenario in
    none) ;;
    unauthorized) printf '9A281FFAZ000AB\tunauthorized usb:1-1 transport_id:1\n' ;;
    offline) printf '9A281FFAZ000AB\toffline usb:1-1 transport_id:1\n' ;;
    two)
        printf '9A281FFAZ000AB\tdevice product:flame model:Pixel_4 transport_id:1\n'
        printf 'emulator-5554\tdevice product:sdk model:sdk_phone transport_id:2\n'
        ;;
    *) printf '9A281FFAZ000AB\tdevice product:flame model:Pixel_4 transport_id:1\n' ;;
    esac
    echo
    exit 0
fi

[ "$1" = -s ] || exit 2
shift 2

# The phone's folders are below $here.
on_phone() {
    printf '%s' "$1" | sed "s#/data/local/tmp#$here/phone#g; s#/sys/devices#$here/sys#g"
}

getprop() {
    case $1 in
    ro.product.model) echo 'Pixel 4' ;;
    ro.board.platform) echo msmnile ;;
    ro.build.version.release) echo 13 ;;
    ro.build.fingerprint) echo google/flame/flame:13/TP1A.221005.002 ;;
    *) echo ;;
    esac
}

dumpsys() {
    [ "$scenario" = hot ] && tenths=412 || tenths=285
    printf 'Current Battery Service state:\n  level: 87\n  temperature: %s\n' $tenths
}

taskset() {
    shift
    [ "$scenario" = hangs ] && kill -STOP $$
    SCENARIO=$scenario "$@"
}

case $1 in
push)
    cp "$2" "$(on_phone "$3")"
    [ "$scenario" != full ] || { echo "adb: error: failed to copy: No space left on device"; exit 1; }
    echo "$2: 1 file pushed"
    ;;
shell)
    case $scenario-$2 in
    unplugged-*taskset*) echo "error: device '9A281FFAZ000AB' not found"; exit 1 ;;
    floods-*taskset*) exec cat /dev/zero ;;
    sticky-'( rm '*) echo "error: closed"; exit 1 ;;
    esac
    eval "$(on_phone "$2")"
    ;;
*) exit 2 ;;
esac
