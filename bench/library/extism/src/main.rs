//! Extism's side of the comparison, as ../calls.cc: lines `COUNT CASE PARAMS` on standard input, a line on
//! standard output when that is done. Cases: fresh (a plugin a call, from compiled code), reused.

use std::io::BufRead;

use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("calls PLUGIN.wasm")?;
    let manifest = Manifest::new([Wasm::file(file)]);
    let compiled = CompiledPlugin::new(PluginBuilder::new(manifest).with_wasi(false))?;
    let mut reused = Plugin::new_from_compiled(&compiled)?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        let (count, case, params) = (words.next(), words.next(), words.next().ok_or("COUNT CASE PARAMS")?);
        for _ in 0..count.unwrap_or_default().parse::<u64>()? {
            let answer: String = if case == Some("reused") {
                reused.call("echo", params)?
            } else {
                Plugin::new_from_compiled(&compiled)?.call("echo", params)?
            };
            if answer != params {
                return Err("the answer is not what was sent".into());
            }
        }
        println!("done");
    }
    Ok(())
}
