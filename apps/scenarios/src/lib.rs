//! Incidents as scenarios: what was done to other venues, written down as a risk manager would read it, and played to a
//! replica of this one.
//!
//! ```text
//! venue.toml, controls.toml, S4-*.toml ─ file ─> Cast ─ stage ─> Ending ─ matrix ─> Report
//!                                                         └─ production: the same to a running venue ─> Told, LiveVerdict
//! ```
//!
//! A scenario first shows that its set-up stands. With every control on it must pass; with all of its controls as loose as
//! genesis lets them be it must fail, or it would prove nothing; with one of them loose it must fail, or that control is
//! redundant, and then the others loose and that one on must pass. A control is loosened in genesis and nowhere else: the
//! replica runs the same code in all runs and knows no scenario. The benign twin of the incident must go through, and so
//! must what bystanders do.
//!
//! Deliberately absent: randomness other than the seed's, any way past the gate, and any knowledge of what a control does.

mod client;
mod file;
mod library;
mod live;
mod matrix;
mod number;
mod observed;
mod orders;
mod problem;
mod production;
mod report;
mod rules;
mod script;
mod stage;
mod tables;
mod telling;
mod told;
mod venue;

pub use file::{Catalogue, ScenarioFile, read};
pub use library::library;
pub use live::{Ended, KeyHolder, LiveKeys, LiveVenue};
pub use matrix::{ControlReport, RunReport, ScenarioReport, run};
pub use number::{Number, Numbers, VARIATION_PPM};
pub use observed::Loss;
pub use problem::ScenarioError;
pub use production::{Party, Production, Unplayed};
pub use report::{json, markdown, text};
pub use told::{ControlSeen, Happening, LiveVerdict, Told};
