//! libtorch with its GPU half, out of PyTorch's wheel, and NVIDIA's libraries beside it. They find each other by
//! their places, which are those that pip gives them: `torch/lib`, `nvidia/*/lib`.

use super::{LINUX_X86_64, announce, staging, torch, wheels};
use crate::repo;
use anyhow::{Result, bail};
use std::{env, fs};
use wheels::{Take, Wheel};

/// What the wheel of PyTorch names as its requirements, but for Python's.
const NVIDIA: [Wheel; 13] = [
    Wheel {
        name: "nvidia-cublas",
        version: "13.1.0.3",
        sha256: "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
    },
    Wheel {
        name: "nvidia-cuda-nvrtc",
        version: "13.0.88",
        sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    },
    Wheel {
        name: "nvidia-cudnn-cu13",
        version: "9.19.0.56",
        sha256: "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf",
    },
    Wheel {
        name: "nvidia-cufft",
        version: "12.0.0.61",
        sha256: "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
    },
    Wheel {
        name: "nvidia-cufile",
        version: "1.15.1.6",
        sha256: "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
    },
    Wheel {
        name: "nvidia-curand",
        version: "10.4.0.35",
        sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
    },
    Wheel {
        name: "nvidia-cusolver",
        version: "12.0.4.66",
        sha256: "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
    },
    Wheel {
        name: "nvidia-cusparse",
        version: "12.6.3.3",
        sha256: "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
    },
    Wheel {
        name: "nvidia-cusparselt-cu13",
        version: "0.8.0",
        sha256: "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd",
    },
    Wheel {
        name: "nvidia-nccl-cu13",
        version: "2.28.9",
        sha256: "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42",
    },
    Wheel {
        name: "nvidia-nvjitlink",
        version: "13.0.88",
        sha256: "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
    },
    Wheel {
        name: "nvidia-nvshmem-cu13",
        version: "3.4.5",
        sha256: "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
    },
    Wheel {
        name: "nvidia-nvtx",
        version: "13.0.85",
        sha256: "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
    },
];

const TAKES: [Take; 2] = [
    Take { pattern: "torch/lib/lib*.so*", folder: "torch/lib" },
    Take { pattern: "nvidia/*/lib/*.so*", folder: "nvidia" },
];

/// Makes sure that trainings can be computed on an NVIDIA GPU, once its driver is installed.
pub fn ensure() -> Result<()> {
    const VERSION: &str = torch::VERSION;
    let version_file = repo::deps().join("cuda/version");
    if fs::read_to_string(version_file).is_ok_and(|text| text.trim() == VERSION) {
        return Ok(());
    }
    if !LINUX_X86_64 {
        bail!(
            "libtorch with CUDA can be fetched for Linux on x86-64 only, and this is {} on {}\n\
             hint: install PyTorch {VERSION} and set SPACEWRIGHT_TORCH to the folder of its package",
            env::consts::OS,
            env::consts::ARCH
        );
    }
    announce(
        &format!("libtorch {VERSION} with CUDA"),
        "2.6 GB, 3.8 GB unpacked; 6.4 GB for a while",
    );
    staging::publish("cuda", |folder, scratch| {
        let all = [&torch::WHEELS[..], &NVIDIA].concat();
        wheels::fetch(&all, &TAKES, scratch, folder)?;
        torch::check_loads(&folder.join("torch/lib/libtorch_cuda.so"))?;
        torch::write(&folder.join("version"), &format!("{VERSION}\n"))
    })
}
