# The demo inside the guest: lastref watches while a flusher puts the last reference to the inode it writes.
# Arguments: module, lastref, output directory, way to attach.
module=$1 lastref=$2 output=$3 attach=$4

insmod "$module" || exit 10

"$lastref" watch --attach "$attach" --duration 30s --interval 2s --stuck-after 5s \
    --ready-file "$output/ready" --output "$output/report.json" \
    > "$output/report.txt" 2> "$output/progress.txt" &
watcher=$!
while [ ! -e "$output/ready" ]; do
    kill -0 "$watcher" 2> /dev/null || break
    sleep 0.2
done

# From here on one flusher hangs for good, as a flusher of a CephFS mount did.
if [ -e "$output/ready" ]; then
    echo "probes attached, the flusher is about to put its inode" >&2
    echo "writeback_self 1" > /sys/kernel/debug/lastref_lab/run || exit 11
fi
wait "$watcher"
status=$?
# 0, 1 and 5 are verdicts; anything else is a failure that progress.txt explains.
case $status in
    0 | 1 | 5) exit 0 ;;
    *) exit "$status" ;;
esac
