//! ONNX Runtime's library out of its Python wheel.

use super::{LINUX_X86_64, announce, staging, wheels};
use crate::repo;
use anyhow::{Result, bail};
use std::{env, path::Path};
use wheels::{Take, Wheel};

const WHEELS: [Wheel; 1] = [Wheel {
    name: "onnxruntime",
    version: "1.32.0",
    sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
}];
const LIBRARY: &str = "libonnxruntime.so.1.32.0";
const TAKES: [Take; 1] =
    [Take { pattern: "onnxruntime/capi/libonnxruntime.so.1.32.0*", folder: "." }];

/// Makes sure that there is an ONNX Runtime to load.
pub fn ensure() -> Result<()> {
    if let Some(own) = env::var_os("SPACEWRIGHT_ONNXRUNTIME") {
        let own = Path::new(&own);
        if !own.is_file() {
            bail!(
                "SPACEWRIGHT_ONNXRUNTIME is set to {}, which is no file\n\
                 hint: unset SPACEWRIGHT_ONNXRUNTIME to let the set-up fetch ONNX Runtime",
                own.display()
            );
        }
        eprintln!("using the ONNX Runtime that SPACEWRIGHT_ONNXRUNTIME names: {}", own.display());
        return Ok(());
    }
    if repo::deps().join("onnxruntime").join(LIBRARY).is_file() {
        return Ok(());
    }
    if !LINUX_X86_64 {
        bail!(
            "ONNX Runtime can be fetched for Linux on x86-64 only, and this is {} on {}\n\
             hint: install ONNX Runtime 1.32.0 and set SPACEWRIGHT_ONNXRUNTIME to its library",
            env::consts::OS,
            env::consts::ARCH
        );
    }
    announce("ONNX Runtime 1.32.0", "28 MB");
    staging::publish("onnxruntime", |folder, scratch| {
        wheels::fetch(&WHEELS, &TAKES, scratch, folder)
    })
}
