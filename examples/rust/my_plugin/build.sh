#!/bin/bash
set -e

echo "Building plugin..."
cargo build --target wasm32-unknown-unknown --release

echo "Copying WASM..."
cp target/wasm32-unknown-unknown/release/my_plugin.wasm ./

echo "Done!"
