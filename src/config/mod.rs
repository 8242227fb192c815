//! Configuration: what the file says becomes what the program wants, with every problem found at once.

mod problem;
mod secret;
mod settings;

pub use problem::{Located, Place, Problem, Problems};
pub use secret::Secret;
pub use settings::*;
