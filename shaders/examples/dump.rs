//! Writes the final WGSL of every shader into a folder: `cargo run -p lab-shaders --example dump -- DIR`.

fn main() -> std::io::Result<()> {
    let folder = std::path::PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "target/wgsl".into()));
    std::fs::create_dir_all(&folder)?;
    for shader in lab_shaders::KERNELS.iter().chain(lab_shaders::NATIVE).chain(lab_shaders::VIEWS) {
        std::fs::write(folder.join(format!("{}.wgsl", shader.name)), shader.source)?;
    }
    Ok(())
}
