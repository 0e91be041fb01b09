//! Why a block is not valid.

use casemate_protocol::Reject;

/// The first rule that a block breaks. A voter votes against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidBlock {
    /// Another protocol version than the one in force.
    ProtocolVersion,
    /// Another chain.
    WrongChain,
    /// Not the next height, or time that does not grow.
    HeightOrTime,
    /// Another parent than the last block.
    Parent,
    /// The policy epoch is not the one in force.
    PolicyEpoch,
    /// This node could not evaluate the policy in force; another might. It must not vote or go on.
    PolicyFault,
    /// The header's count or root of envelopes is not that of the body.
    Envelopes,
    /// The header does not commit to the body's secret.
    SealSecret,
    /// A field that a solo chain leaves zero is not zero.
    ReservedField,
    /// An envelope that no block may hold.
    Envelope {
        /// Its place in the block.
        position: u32,
        /// The rule that it breaks.
        reject: Reject,
    },
    /// Execution leads to another state root.
    StateRoot,
    /// Execution leads to another log.
    LogRoot,
    /// Another block of this replica waits to be adopted or discarded.
    Busy,
}

impl core::fmt::Display for InvalidBlock {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let sentence = match self {
            Self::ProtocolVersion => "the block's protocol version is not the one in force",
            Self::WrongChain => "the block belongs to another chain",
            Self::HeightOrTime => "the block's height is not the next one, or its time does not grow",
            Self::Parent => "the block's parent is not the last block",
            Self::PolicyEpoch => "the block's policy epoch is not the one in force",
            Self::PolicyFault => "this node could not evaluate the policy in force",
            Self::Envelopes => "the header's envelope count or root is not that of the body",
            Self::SealSecret => "the header does not commit to the body's seal secret",
            Self::ReservedField => "a field that this chain leaves zero is not zero",
            Self::Envelope { position, reject } => {
                return write!(formatter, "envelope `{position}` of the block: {reject}");
            }
            Self::StateRoot => "executing the block leads to another state root",
            Self::LogRoot => "executing the block leads to another log root",
            Self::Busy => "another executed block waits to be adopted or discarded",
        };
        formatter.write_str(sentence)
    }
}

impl core::error::Error for InvalidBlock {}
