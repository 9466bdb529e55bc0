# A walk through the Windows program, on stores of one kind. Needs: kind, programs (a folder), legacy (a folder).
# The dumps that must have the same bytes as on Linux are left in $kind-*.jsonl.
set -eu
nofx() { wine "$programs/nofx.exe" "$@"; }

# From the old folder to a store, and from that store to another.
nofx migrate --from "$legacy" --to "$kind:first-$kind"
nofx doctor --store "$kind:first-$kind"
nofx ls --store "$kind:first-$kind"
nofx stats --store "$kind:first-$kind"
nofx migrate --from "$kind:first-$kind" --to "$kind:second-$kind"
nofx dump --full --store "$kind:second-$kind" > "$kind-copied.jsonl"

# Two concurrent migrations: one may say that the other is running (1) or holds the store (26).
nofx migrate --from "$legacy" --to "$kind:both-$kind" & one=$!
nofx migrate --from "$legacy" --to "$kind:both-$kind" & other=$!
for process in $one $other; do
    wait $process || case $? in 1 | 26) ;; *) exit 1 ;; esac
done
nofx migrate --from "$legacy" --to "$kind:both-$kind"
nofx dump --full --store "$kind:both-$kind" > "$kind-both.jsonl"

# A migration that is killed at several moments, and then continues where it stopped.
for moment in 0.3 0.6 0.9; do
    wine "$programs/nofx.exe" migrate --from "$legacy" --to "$kind:killed-$kind" & one=$!
    sleep $moment
    kill -9 $one || echo "done before $moment s"
    wait $one || echo "killed after $moment s"
done
nofx migrate --from "$legacy" --to "$kind:killed-$kind"
nofx doctor --store "$kind:killed-$kind"
nofx dump --full --store "$kind:killed-$kind" > "$kind-killed.jsonl"

# A host that is killed while another program reads: everything it acknowledged is there.
wine "$programs/examples/talk.exe" "$kind:talk-$kind" > "said-$kind" & host=$!
until grep -qs 25 "said-$kind"; do sleep 0.1; done
nofx ls --store "$kind:talk-$kind"
kill -9 $host
wait $host || echo "the host was killed"
nofx doctor --store "$kind:talk-$kind"
test "$(nofx show session-ada --json --store "$kind:talk-$kind" | wc -l)" -ge "$(tail -n 1 "said-$kind")"
