//! The whole command line, on one page.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lab_core::config::Budget;

/// Largest side that `--size` takes.
pub(crate) const MAX_SIZE: u32 = 8192;

/// Train vision transformers on images alone, use them, inspect their checkpoints, and compare them with PyTorch.
#[derive(Debug, Parser)]
#[command(name = "native-trainer", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One of the things this program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what a checkpoint is: family, sizes, cost, preprocessing, licence, unknown tensors
    ///
    /// Reads headers only: no weight is loaded and no GPU is needed.
    Inspect(InspectArgs),
    /// Train a vision transformer on images alone, with MAE, DINO or DINOv2
    ///
    /// Ctrl-C saves and ends with status 0; the same command goes on, exactly where it stopped.
    Pretrain(Box<PretrainArgs>),
    /// Say what a run needs before it starts: parameters, FLOPs, memory, disk, time
    Plan(PlanArgs),
    /// Turn images into embeddings: a row an image, in the order of the inputs
    ///
    /// Images are decoded on all cores while the device computes.
    /// The result is written beside FILE and renamed when it is complete.
    /// Ctrl-C keeps what is embedded so far, readable, as FILE.partial, and ends with status 130.
    Embed(Box<EmbedArgs>),
    /// Learn the classes of class folders from a model's frozen features: k-NN and a linear classifier
    ///
    /// Says how good they are by images they had not seen: each asked of all others (k-NN), cross-validation (linear),
    /// or those of --val. The file opens in the page and in `eval`.
    Probe(Box<ProbeArgs>),
    /// Ask a probe of images; with --labels also how often it is right
    Eval(Box<EvalArgs>),
    /// Compare a model with the outputs that PyTorch stored beside its inputs
    ///
    /// An element passes if it differs by at most ATOL, or by at most RTOL of the stored value.
    /// Exit status 1 when an element of any tensor does not pass, or when there was nothing to compare.
    Parity(ParityArgs),
    /// List the devices of this machine, their limits, and which kernels pass their self-check
    Devices(DevicesArgs),
    /// Lend a device to runs on other machines, until Ctrl-C
    #[cfg(feature = "remote")]
    Serve(ServeArgs),
}

const MODEL_HELP: &str = "A Hugging Face folder, or a .safetensors or PyTorch file (.pth, .pt, .bin)";

/// `native-trainer inspect`
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[arg(help = MODEL_HELP)]
    pub(crate) model: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// `native-trainer embed`
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[arg(help = MODEL_HELP)]
    pub(crate) model: PathBuf,
    /// Images, folders (searched to the bottom, in the order of names), .tar shards and .zip archives (read in place),
    /// .txt lists of files
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Where the embeddings go; the ending says how: .safetensors, .npy, .parquet or .csv
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// What to keep of each image
    #[arg(long, value_enum, default_value_t = What::Cls)]
    pub(crate) what: What,
    /// Divide each vector by its length (L2), so that a product of two is their cosine
    #[arg(long)]
    pub(crate) normalize: bool,
    /// Replace FILE if it exists
    #[arg(long)]
    pub(crate) force: bool,
    /// Side of the image in pixels that the model receives [default: the model's own]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SIZE)))]
    pub(crate) size: Option<u32>,
    /// How pictures become squares [default: as preprocessor_config.json says, or as the model was trained]
    #[arg(long, value_enum)]
    pub(crate) preprocess: Option<Convention>,
    /// Images computed at once [default: what fits the device]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(crate) batch_size: Option<u32>,
    /// Threads that decode [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) workers: Option<u32>,
    /// How many images may be unreadable, as a share ("1%") or a number ("20")
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    pub(crate) bad_budget: Budget,
    /// Keep the weights as 16-bit floats; needs a device with f16
    #[arg(long)]
    pub(crate) half: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `native-trainer probe`
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    #[arg(help = MODEL_HELP)]
    pub(crate) model: PathBuf,
    /// Images in class folders, lists with classes, tar shards with .cls, zip archives
    #[arg(required = true, value_name = "DATA")]
    pub(crate) data: Vec<PathBuf>,
    /// Where the probe goes, a .safetensors
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Images to test on, in folders of the same names [default: some of DATA in turn]
    #[arg(long, value_name = "INPUT")]
    pub(crate) val: Vec<PathBuf>,
    /// What is taken of an image
    #[arg(long, value_enum, default_value_t = Take::Cls)]
    pub(crate) features: Take,
    /// Neighbours that vote
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) k: u32,
    /// Inverse strength of the linear classifier's penalty
    #[arg(long, value_name = "C", default_value_t = 1.0, value_parser = positive)]
    pub(crate) c: f64,
    /// Leave the features' scale as it is
    #[arg(long)]
    pub(crate) no_standardise: bool,
    /// How pictures become squares [default: as preprocessor_config.json says, or as the model was trained]
    #[arg(long, value_enum)]
    pub(crate) preprocess: Option<Convention>,
    /// How many images may be unreadable, as a share ("1%") or a number ("20")
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    pub(crate) bad_budget: Budget,
    /// Replace FILE if it exists
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `native-trainer eval`
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    #[arg(help = MODEL_HELP)]
    pub(crate) model: PathBuf,
    /// Images, folders, .tar shards, .zip archives, .txt lists
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// What `native-trainer probe` or the page wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) probe: PathBuf,
    /// Where the predictions go, a .csv or a .json [default: CSV on standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Where the images' true classes are said; gives accuracy
    #[arg(long, value_enum)]
    pub(crate) labels: Option<Labels>,
    /// How pictures become squares [default: as preprocessor_config.json says, or as the model was trained]
    #[arg(long, value_enum)]
    pub(crate) preprocess: Option<Convention>,
    /// How many images may be unreadable, as a share ("1%") or a number ("20")
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    pub(crate) bad_budget: Budget,
    /// Replace FILE if it exists
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `native-trainer pretrain`
#[derive(Debug, Args)]
pub(crate) struct PretrainArgs {
    /// Images: folders (searched to the bottom), list files (.txt), tar shards, zip archives, or drawn:N for N pictures
    /// that the program draws; labels are not used for training
    #[arg(required = true, value_name = "DATA")]
    pub(crate) data: Vec<PathBuf>,
    /// A named configuration; an unknown name lists them all
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// A TOML file over the preset
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A key over both, such as optim.base_lr=5e-4
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The run's folder: checkpoints, model, report
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on with the run in DIR; it is an error if there is none
    #[arg(long)]
    pub(crate) resume: bool,
    /// Begin DIR with a run that was saved as one file: what the page's room Train downloads, or the state.safetensors of
    /// another run; its configuration holds, --set goes over it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["preset", "config", "resume"])]
    pub(crate) from: Option<PathBuf>,
    /// Held-out images to look at: pictures, health and, with labels, k-NN [default: some of DATA]
    #[arg(long, value_name = "INPUT")]
    pub(crate) val: Vec<PathBuf>,
    /// Stop after so many steps, as if asked to
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Threads that decode [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) workers: Option<u32>,
    /// Plain lines instead of the dashboard
    #[arg(long)]
    pub(crate) plain: bool,
    /// Devices that share each batch, such as gpu:0,gpu:1; the first one keeps the optimiser
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with = "device")]
    pub(crate) devices: Vec<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `native-trainer plan`
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// A named configuration; an unknown name lists them all
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// A TOML file over the preset
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A key over both, such as optim.base_lr=5e-4
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Images of the run, where an epoch is a pass over them
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(crate) images: u64,
    /// Do not measure a step: no device is opened, no time is told
    #[arg(long)]
    pub(crate) no_measure: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `native-trainer parity`
#[derive(Debug, Args)]
pub(crate) struct ParityArgs {
    #[arg(help = MODEL_HELP)]
    pub(crate) model: PathBuf,
    /// Inputs and outputs: pixel_values and any of last_hidden_state, pooler_output, hidden_states.i, attentions.i,
    /// other_size.*, and MAE's noise, loss, logits, mask, ids_restore
    #[arg(long, value_name = "FILE")]
    pub(crate) io: PathBuf,
    /// Largest absolute error; also the least size of a stored value that "max rel" is relative to
    #[arg(long, default_value_t = 1e-4, value_parser = tolerance)]
    pub(crate) atol: f64,
    /// Largest relative error
    #[arg(long, default_value_t = 1e-4, value_parser = tolerance)]
    pub(crate) rtol: f64,
    /// Keep the weights as 16-bit floats; needs a device with f16, and wider tolerances
    #[arg(long)]
    pub(crate) half: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// `native-trainer devices`
#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// List only: open no device, check no kernel
    #[arg(long)]
    pub(crate) no_check: bool,
}

/// `native-trainer serve`
#[cfg(feature = "remote")]
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen. Nothing is encrypted and whoever connects may compute: keep to loopback and tunnels
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// What computes, and with which kernels.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// "auto" (the first real GPU, else the CPU) or an id that `native-trainer devices` lists: cpu, gpu:0, ...; with
    /// their features cuda:0, rocm:0, ws://HOST:PORT
    #[arg(long, value_name = "ID", default_value = "auto")]
    pub(crate) device: String,
    /// The hand-written kernels, or their twins in tensor operations
    #[arg(long, value_enum, default_value_t = Kernels::Wgsl)]
    pub(crate) kernels: Kernels,
}

/// What is kept of an image's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// The image's one vector: the class token after the last norm; CLIP's and SigLIP's pooled output
    Cls,
    /// The mean of the patch tokens
    Mean,
    /// Every patch token, row by row
    Patches,
}

impl What {
    /// Its name on the command line and in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Patches => "patches",
        }
    }
}

/// What a probe takes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Take {
    /// The image's one vector: the class token after the last norm; CLIP's and SigLIP's pooled output
    Cls,
    /// The mean of the patch tokens
    Mean,
    /// Both, one behind the other
    Both,
}

impl Take {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Both => "both",
        }
    }
}

impl From<Take> for lab_protocol::ProbeFeatures {
    fn from(take: Take) -> Self {
        match take {
            Take::Cls => Self::Cls,
            Take::Mean => Self::Mean,
            Take::Both => Self::Both,
        }
    }
}

/// Where true classes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Labels {
    /// The folder an image lies in, the column of a list, the .cls of a shard
    Folder,
}

/// The three ways in which released models were fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Convention {
    /// Short side to 256/224 of the size, then the central square (DINOv2)
    ShortCrop,
    /// The whole picture pressed into the square (Web-SSL's demos)
    Direct,
    /// Short side to the size, then the central square (Web-SSL's files on Hugging Face)
    ShortSide,
}

/// Who computes matrix products and their like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernels {
    /// Hand-written WGSL, where the device runs it
    Wgsl,
    /// Tensor operations, on any device
    Reference,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("expected a number above 0, such as 1.0".to_owned()),
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("expected a number that is not negative, such as 1e-4".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tolerances_are_numbers() {
        assert_eq!(tolerance("1e-3"), Ok(1e-3));
        for wrong in ["-1", "nan", "inf", "", "one"] {
            assert!(tolerance(wrong).is_err(), "{wrong}");
        }
    }
}
