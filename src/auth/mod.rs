//! Sessions, tokens and the proof of admission. Knows no HTTP, and of directories only the principal they answer.

mod admission;
mod budgets;
mod counts;
mod ended;
mod expiry;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod held;
mod key;
mod over;
mod ring;
mod session;
mod sessions;
mod throttle;
mod token;

pub use admission::{Access, Admission, Denied, Presented, admit};
pub use budgets::{Budget, Throttled};
pub use ended::Ended;
pub use key::SessionKey;
pub use ring::{Ring, SecretId};
pub use session::{Session, SessionId};
pub use sessions::{Full, Issued, Now, Rejected, Sessions};
pub use throttle::{Attempt, Origin, Throttle};
pub use token::AccessToken;
