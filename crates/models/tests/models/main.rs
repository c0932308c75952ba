//! Every family, compared with transformers 4.51.3 and asked for what it cannot do.

mod configurations;
mod goldens;
mod inputs;
mod memory;
mod options;
mod parity;
mod places;
mod recorder;
mod weights;
