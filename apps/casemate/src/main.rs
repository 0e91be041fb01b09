//! The casemate command.

#[cfg_attr(not(test), expect(dead_code, reason = "the replay command, which drives it, does not exist yet"))]
mod order_flow;

fn main() {}
