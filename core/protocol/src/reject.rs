//! Refusals: typed, permanently numbered, and worded for the person who reads them.
//!
//! Numbers are wire format: add, never renumber, never reuse. The registry `spec/vectors/rejects.tsv` is generated
//! from this table and a test holds them equal. A refusal carries what was required and what was present where the
//! rule compares numbers; it never carries a secret or another account's numbers.

use borsh::io::{Error, ErrorKind, Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::command::Action;
use crate::conduct::Detector;
use crate::policy::Tier;
use crate::units::QuoteMicros;

/// What the two numbers of a refusal count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The refusal compares nothing.
    Nothing,
    /// Bare counts and ids.
    Count,
    /// Micro-quote, shown as decimal quote.
    Quote,
    /// Milliseconds of block time.
    Milliseconds,
    /// Ticks.
    Ticks,
    /// Lots.
    Lots,
    /// The number of an action, shown as its name.
    Action,
    /// The number of a detector of conduct, shown as its name.
    Detector,
    /// The number of a tier of evidence, shown as its name.
    Tier,
}

macro_rules! reject_codes {
    ($($number:literal $name:ident $measure:ident $message:literal, $hint:literal;)*) => {
        /// The rule that refused. The number is permanent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum RejectCode {
            $(#[doc = $message] $name = $number,)*
        }

        impl RejectCode {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The permanent number.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The code's name, as in the registry.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The sentence, with `{required}` and `{present}` where numbers stand.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }

            /// What the refused party can do.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }

            /// What the numbers count.
            #[must_use]
            pub const fn measure(self) -> Measure {
                match self { $(Self::$name => Measure::$measure,)* }
            }
        }
    };
}

reject_codes! {
    // 1xx: the envelope cannot be included.
    100 EnvelopeTooLarge Count "envelope of `{present}` bytes exceeds the maximum of `{required}`", "split the commands over several envelopes";
    101 EnvelopeVersionUnsupported Count "envelope version `{present}` is not supported, this chain reads version `{required}`", "update the client";
    102 Malformed Nothing "bytes are not a canonical envelope", "encode with the published schema: no trailing bytes, known tags, lists within their maximum";
    103 EnvelopeEmpty Nothing "envelope holds no command", "add at least one command";
    104 WrongChain Nothing "envelope was signed for another chain", "sign again with the chain id that the node reports";
    105 KeyInvalid Nothing "public key is not one that its role accepts: canonical, of large order, and Ed25519 for a session", "make a new key with a standard implementation of its scheme";
    106 SignatureInvalid Nothing "signature does not fit key and envelope", "sign the envelope digest of exactly these bytes with this key";
    107 AccountNotFound Count "account `{present}` does not exist", "open the account first, or check the number";
    108 AccountClosed Count "account `{present}` is closed", "open a new account with a new root key";
    109 KeyNotOfAccount Count "the signing key is not a key of account `{present}`", "sign with the account's root key or with a registered session key";
    110 GrantRevoked Count "grant `{present}` of the session key was revoked", "register a new session key with the root key";
    111 GrantExpired Milliseconds "grant of the session key ended at `{required}`, block time is `{present}`", "register a new session key with the root key";
    112 EnvelopeExpired Milliseconds "envelope was valid until `{required}`, block time is `{present}`", "sign again with a later valid-until";
    113 ValidityTooLong Milliseconds "valid-until lies `{present}` ahead, at most `{required}` is allowed", "sign again with an earlier valid-until";
    114 NonceOutOfWindow Count "nonce `{present}` is outside the key's window, the next one is `{required}`", "use the next nonce";
    115 NonceUsed Count "nonce `{present}` was used by another envelope", "use the next nonce; the first envelope's receipt stands";
    116 WeightExceeded Count "verification weight of `{present}` exceeds what is left of the account's budget, `{required}`", "wait until the budget refills, or put more commands into one envelope";
    117 BlockFull Count "block is full at `{required}`", "submit again: the next block has room";
    118 GroupSpansSegments Nothing "an all-or-nothing group names more than one segment", "split the group by segment";
    119 GroupCommandNotAllowed Nothing "an all-or-nothing group holds a command that must stand alone", "send account, grant and deposit commands each alone";
    120 OpeningMalformed Nothing "an opening envelope names account 0, nonce 1, the root key, and only the opening", "build the opening envelope as documented";
    121 NoUnclaimedDeposit Quote "no unclaimed deposit of at least `{required}` waits for this root key", "deposit to the root key first";
    122 RootKeyTaken Count "the root key has opened account `{present}` before", "use that account, or another root key";
    123 SignatureFormUnfit Count "signature of form `{present}` does not fit the key, which signs in form `{required}`", "sign as the key's scheme asks: 1 Ed25519, 2 EIP-712, 3 WebAuthn";
    124 WalletCommandCount Count "a wallet signs `{required}` command per envelope, this one holds `{present}`", "send each command in an envelope of its own, so that the wallet can show it";
    125 SignatureNotLow Nothing "s of the signature is in the upper half of its range", "replace s by the group order minus s, and turn the parity of a recoverable signature";
    126 PasskeyDataMalformed Nothing "authenticator data or client data of the passkey are not of the form of WebAuthn", "send both as the browser gave them, from a request of type `webauthn.get` in the page's own frame";
    127 PasskeyChallengeWrong Nothing "the passkey answered another challenge", "ask the passkey again with the envelope digest of exactly these bytes as challenge";
    128 PasskeyUserNotVerified Nothing "the passkey did not verify that its user was there", "ask the passkey again with user verification `required`";
    129 PasskeyOriginNotAllowed Nothing "the passkey signed for an origin or relying party that this chain does not take", "sign on a page whose origin genesis names";
    130 PasskeyCounterNotHigher Count "the passkey's counter is `{present}`, it must be above `{required}`", "the passkey may have been copied: sign again, and change the root key's device if it repeats";

    // 14x: the read pass does not open what is asked for.
    140 PassMissing Nothing "what is asked for is not public and needs a read pass", "send `Authorization: Casemate` and a pass that the account's root key or a live session key signed; `casemate read-pass` makes one";
    141 PassMalformed Nothing "the read pass is not one in canonical bytes", "encode it with the published schema, in base64url without padding: no trailing bytes, known tags, an account unless it asks which one a key has";
    142 PassOfAnotherChain Nothing "the read pass was signed for another chain", "sign again with the chain id that the node reports";
    143 PassNotYetValid Milliseconds "the read pass begins at `{required}`, the node's clock says `{present}`", "set the clock right, or let the pass begin a minute earlier";
    144 PassExpired Milliseconds "the read pass ended at `{required}`, the node's clock says `{present}`", "sign another one";
    145 PassLifeNotAllowed Milliseconds "the read pass would live `{present}`, at least 1 and at most `{required}` is allowed", "sign one that ends sooner; another one is signed in no time";
    146 PassSignatureInvalid Nothing "signature does not fit key and read pass", "sign the digest of exactly these terms with this key";
    147 PassDoesNotCover Count "the read pass is for reads of class `{present}` or for another account, market or key; this one is of class `{required}`", "sign a pass for what is read: 1 an account, 2 a market's private data, 3 the auditor's view, 4 which account a key has";
    148 ReadNotPermitted Count "the policy in force does not let this reader read what is of class `{present}`", "see GET /v1/policy: 1 is an account, 2 a market's private data, 3 the auditor's view, 4 which account a key has";
    149 ReadEvidenceTooLow Tier "the policy in force asks for evidence `{required}` to read this, the pass stands for `{present}`", "sign the pass with the root key";

    // 2xx: the grant does not entitle.
    200 ActionNotGranted Action "the grant does not include action `{present}`", "register a grant that includes it, or sign with the root key";
    201 MarketNotGranted Count "the grant does not include market `{present}`", "register a grant that includes it, or sign with the root key";
    202 GrantRateExceeded Count "the grant allows `{required}` commands per minute, this would be number `{present}`", "slow down, or register a grant with a higher rate";
    203 GrantNotionalExceeded Quote "the grant has `{required}` of notional left, the command needs `{present}`", "register a grant with a larger budget";
    204 GrantLossBudgetTooSmall Quote "loss budget `{present}` is below the notional budget `{required}`", "set the loss budget to at least the notional budget: where collateral is full there is no index to measure losses against";
    205 GrantNumberNotNext Count "grant number `{present}` is not the account's next, `{required}`", "use the next number";
    206 GrantsLiveMax Count "the account has `{present}` live grants, the maximum is `{required}`", "revoke one first";
    207 SessionKeyTaken Nothing "the session key was registered before", "make a new key: a session key is registered once, ever";
    208 GrantLifetimeNotAllowed Milliseconds "the grant would live `{present}`, at least 1 and in the venue's present regime at most `{required}` is allowed", "choose an earlier or later end: the rougher the venue's worst market, the shorter new grants live";
    209 GrantRegistrationLate Milliseconds "the grant could be registered before `{required}`, block time is `{present}`", "sign new terms";
    210 ChildGrantNotSupported Count "grants carved out of grant `{present}` were not available in that version", "submit again: they are available now";
    211 GrantNotFound Count "grant `{present}` does not exist or ended", "list the account's grants";
    212 GrantActionsNotAllowed Nothing "the grant names actions that a session cannot have", "grant trading actions, and registering and revoking children";
    213 GrantBudgetMissing Nothing "a budget of the grant is zero", "set every budget above zero: zero means nothing, never no limit";
    214 GrantLossExceeded Quote "the grant has `{required}` of its loss budget left, the command may cost `{present}`", "register a grant with a larger budget, or trade closer to the index";
    215 ChildActionsWider Action "the parent grant does not include action `{present}`", "grant a child only what its parent may do";
    216 ChildMarketsWider Nothing "the child reaches markets that its parent does not", "name markets that the parent reaches";
    217 ChildEndsLater Milliseconds "the child would end at `{present}`, its parent ends at `{required}`", "choose an end not later than the parent's";
    218 ChildRateWider Count "the parent has `{required}` commands per minute left to give, the child asks for `{present}`", "ask for less, or wait for the parent's next minute";
    219 ChildNotionalWider Quote "the parent has `{required}` of notional left to give, the child asks for `{present}`", "ask for less: what the parent traded, reserves and gave away is gone";
    220 ChildLossWider Quote "the parent has `{required}` of its loss budget left to give, the child asks for `{present}`", "ask for less: what the parent lost and gave away is gone, and where collateral is full it keeps as much as its notional";
    221 ChildTooDeep Count "the child would be grant `{present}` in a line of which `{required}` are allowed", "carve it out of a grant nearer to the root key's";
    222 GrantParentEnded Count "parent grant `{present}` does not exist or ended", "name a live grant of the account";
    223 NotOwnChild Count "a session registers and revokes only children of its own grant `{required}`, not of grant `{present}`", "name your own grant as parent, or sign with the root key";
    224 GrantActionsMissing Nothing "the grant names no action", "name every action that it is for: none means nothing, never all";
    225 GrantMarketsMissing Nothing "the grant's list of markets is empty", "name the markets, or say all of them";

    // 3xx: policy refuses.
    300 RootRequired Action "action `{present}` needs evidence `rooted`, the root key's own signature, and came with a session's", "sign this very command with the root key";
    301 NotAnAttestor Count "account `{present}` is not a registered attestor", "attestors are named in genesis";
    302 PolicyForbids Action "the policy in force permits action `{present}` to nobody", "see the policy epoch in the block";
    303 NotAPublisher Count "account `{present}` is not a publisher of the feed", "publishers are named in genesis";
    304 NotAnOfficer Count "account `{present}` is neither a risk officer nor a governor", "officers are named in genesis";
    305 EvidenceTooLow Tier "the policy in force asks for evidence `{required}`, the command came with `{present}`", "present more: session, fresh, rooted, proven, quorum; `policy explain` says why, and the slow principal exit needs no more than the root key";
    306 ProofNotSupported Count "evidence of kind `{present}` cannot be verified by this version", "leave it out; the slow principal exit needs none";
    307 EvidenceNotMore Tier "what waits has evidence `{required}` already, the command brings `{present}`", "nothing to do, or sign with stronger evidence";
    308 EvidenceOfOtherIntent Nothing "the evidence was made for another intent", "make evidence for exactly this account, nonce, time and command";
    309 PolicyEngineFault Nothing "this node could not evaluate the policy in force", "ask another node: it is no verdict";
    310 EvidenceCommandCount Count "evidence is for `{required}` command, the envelope holds `{present}`", "send the command that needs it in an envelope of its own, signed by the root key";
    311 PolicyErred Action "a policy in force errs when it is asked about this action, `{present}`, and an error denies", "tell the venue's officers, who can adopt a corrected set; cancels, reductions and the slow principal exit ask no policy";

    // 4xx: accounts and money.
    400 AmountNotPositive Quote "amount `{present}` is not above zero", "name an amount above zero";
    401 AmountOverflow Nothing "amount leaves the range of money", "name a smaller amount";
    402 InsufficientFreeCollateral Quote "the command needs `{required}` of free collateral, the account has `{present}`", "deposit, or close positions and orders";
    403 SegmentNotFound Count "segment `{present}` does not exist", "list the segments";
    404 AssetNotOfSegment Count "the segment's vault does not hold asset `{present}`", "use the segment's asset";
    405 DepositAlreadyAttested Count "operator `{present}` has attested this deposit", "nothing to do: the statement counts once per operator";
    406 DepositAlreadyCredited Nothing "the deposit was credited", "nothing to do: a claim is credited once";
    407 InboundCapExceeded Quote "inbound cap of the window has `{required}` left, the deposit is `{present}`", "wait until the window refills";
    408 BeneficiaryNotFound Count "beneficiary account `{present}` does not exist", "name an open account or a root key";
    409 WithdrawalNotFound Count "withdrawal `{present}` does not exist or was released", "list the account's withdrawals";
    410 PendingMovesMax Count "the account has `{present}` pending withdrawals and transfers, the maximum is `{required}`", "wait for a release or cancel one";
    411 LimiterCapacityExceeded Quote "amount `{present}` is above what the limiter can ever release at once, `{required}`", "split the amount";
    412 TransferNotFound Count "transfer `{present}` does not exist or has left", "list the account's transfers";
    413 SameSegment Count "transfer stays in segment `{present}`", "name another target segment";
    414 AccountNotEmpty Nothing "the account has balances, positions, orders, grants or pending moves", "close and withdraw everything first";
    415 BalanceTooLarge Quote "balance would be `{present}`, the maximum is `{required}`", "name a smaller amount";
    416 DestinationEmpty Nothing "the withdrawal names no destination", "name a payout address";
    417 BeneficiaryClosed Count "beneficiary account `{present}` is closed", "name an open account or a new root key";
    418 AccountsMax Count "the chain holds `{required}` accounts, which is its maximum", "no account can be opened";
    419 OutputAlreadyCredited Nothing "another claim on the same outside output was accepted", "attest exactly what happened outside";
    420 TransferMarginShort Quote "what stays must be at least `{required}`, it would be `{present}`", "close positions, or leave more: initial margin and a share of gross notional stay, and profit counts only when it is old enough";
    421 PrincipalExceeded Quote "the slow exit lets `{required}` of principal leave, the amount is `{present}`", "name at most what was deposited and is free; profit leaves by an ordinary withdrawal";
    430 DestinationNotInBook Nothing "the account's address book does not hold this destination", "add the address with `AddPayoutAddress`; it can be used once it has cooled off";
    431 DestinationCooling Milliseconds "the destination was added to the address book and cools off for another `{required}`", "wait, or name an address that can be used already";
    432 AddressBookBinds Milliseconds "the last address was taken out of the book, which still binds for another `{required}`", "wait, or add the address again";
    433 PayoutAddressKnown Nothing "the address is in the book", "nothing to do";
    434 PayoutAddressNotFound Nothing "the address is not in the book", "list the account's addresses";
    435 PayoutAddressesMax Count "the book holds `{present}` addresses, the maximum is `{required}`", "remove one first";
    436 RootKeyChangePending Milliseconds "another root key is announced already, and can take over in `{required}`", "cancel that change first";
    437 RootKeyChangeNotFound Nothing "no other root key is announced", "announce one with `ChangeRootKey`";
    438 RootKeyChangeWaiting Milliseconds "the announced root key can take over in `{required}`", "wait; the account's present root key can cancel the change meanwhile";
    439 RootKeyInUse Nothing "the key is or was a root key or a session key, or is announced to become a root key", "make a new key";
    440 FormerRootKeysMax Count "the account has had `{present}` root keys before this one, the maximum is `{required}`", "move the money to a new account";
    441 RootKeyReplaced Count "the key was the root key of account `{present}` until another took over", "sign with the root key that the account has now";
    442 RootKeyNotProven Nothing "the announced key must sign this itself", "sign `AcceptRootKey` with the new key, in the name of the account";
    443 NotAGuardian Count "account `{present}` is not a guardian of that account", "ask its owner to name it; announced guardians count for nothing until they guard";
    444 GuardianThresholdNotAllowed Count "`{present}` of `{required}` guardians cannot decide", "name at least two guardians, and a threshold of at least two and at most their number; nobody at all with a threshold of zero";
    445 GuardianTwice Count "guardian `{present}` is named twice", "name each guardian once";
    446 GuardianIsSelf Count "account `{present}` cannot guard itself", "name accounts of others";
    447 GuardianNotFound Count "guardian account `{present}` does not exist or is closed", "name open accounts";
    448 GuardianChangePending Milliseconds "other guardians are announced already, and guard in `{required}`", "cancel that change first";
    449 GuardianChangeNotFound Nothing "no other guardians are announced", "announce them with `SetGuardians`";
    450 RecoveryPending Milliseconds "the account's guardians recover it with a key that can take over in `{required}`", "the root key can cancel the recovery";
    451 RecoveryNotFound Nothing "no recovery is under way", "nothing to do";
    452 RecoveryPaused Milliseconds "a recovery of the account was cancelled; guardians can begin another one in `{required}`", "wait, then vote again";
    453 RecoveryCancelsMax Milliseconds "the root key has cancelled as many recoveries as it can; it can cancel again in `{required}`", "the guardians decide now: convince them";
    454 FreezeSpent Milliseconds "the account was frozen lately; guardians can freeze it again in `{required}`", "wait, then vote again";
    455 AccountFrozen Milliseconds "the account's guardians froze it: nothing leaves for another `{required}`", "ask the guardians, or ask for principal by the slow exit, which leaves after that";
    456 RecoveryHold Milliseconds "the account was recovered lately: nothing leaves for another `{required}`", "wait, or ask for principal by the slow exit, which leaves after that";
    457 GuardiansUnchanged Nothing "these guardians guard the account already", "nothing to do";

    // 5xx: trading.
    500 MarketNotFound Count "market `{present}` does not exist", "list the markets";
    501 QuantityBelowMinimum Lots "quantity of `{present}` lots is below the minimum of `{required}`", "name a larger quantity";
    502 QuantityTooLarge Lots "quantity of `{present}` lots is above the maximum of `{required}`", "name a smaller quantity";
    503 PriceOutOfRange Ticks "price of `{present}` ticks is outside the market's range, at most `{required}`", "name a price within the range";
    504 PriceOutsideBand Ticks "price of `{present}` ticks is outside the band, which ends at `{required}`", "name a price within the band around the last trade";
    505 PostOnlyWouldTake Ticks "post-only order at `{present}` ticks would trade with a resting order at `{required}`", "name a price further from the other side, or use post-only with slide";
    506 FillOrKillNotFillable Lots "only `{present}` of `{required}` lots can be filled now", "use immediate-or-cancel to take what is there";
    507 ReduceOnlyWouldIncrease Lots "a reduce-only order needs an opposite position, the account has `{present}` lots", "drop reduce-only, or choose the other side";
    508 OpenOrdersMax Count "the account would have `{present}` resting orders, the maximum is `{required}`", "cancel some first";
    509 PositionsMax Count "the account would have positions or orders in `{present}` markets, the maximum is `{required}`", "close one first";
    510 ClientIdInUse Count "client order id `{present}` names a resting order", "choose another id";
    511 OrderNotFound Count "order `{present}` is not a resting order of the account in this market", "it was filled, cancelled, or never rested";
    512 GoodTillTimePast Milliseconds "good-till time `{required}` is not after block time `{present}`", "choose a later time";
    513 LadderNotSorted Ticks "ladder level at `{present}` ticks does not come after `{required}`", "sort each side from best to worst, without repeats";
    514 LadderCrossed Ticks "the ladder's bid at `{present}` ticks reaches its own ask at `{required}`", "keep bids below asks";
    515 BandEdgeInsolvent Quote "at the edge of the price band equity could be `{present}`, at least `{required}` is needed", "deposit, or trade less";
    516 PositionTooLarge Lots "position and orders would reach `{present}` lots, the maximum is `{required}`", "trade less";
    517 NoLiquidity Nothing "the other side of the book is empty within the bound", "use a limit order, or widen the bound";
    518 DeadManTimeoutNotAllowed Milliseconds "timeout of `{present}` is not allowed: zero to disarm, else at least `{required}`", "choose a longer timeout";
    519 OpenInterestMax Quote "open interest of the market would be `{present}`, the maximum is `{required}`", "trade less, or reduce";
    520 PriceNotGoodEnough Count "the market's price has grade `{present}`, new risk needs grade `{required}`", "reduce, cancel or wait: publishers must agree on a fresh price within its cap";
    521 WorseThanBankruptcy Quote "the trade would leave equity of `{present}` behind what stays open, at least `{required}` is needed", "name a better price, or deposit: below maintenance margin no trade may bring an account nearer to bankruptcy";

    // 6xx: prices and breakers.
    600 FeedNotFound Count "feed `{present}` does not exist", "list the feeds";
    601 PriceNotPositive Nothing "a price must be above zero", "publish what was seen, or nothing";
    602 SourceTimeAhead Milliseconds "the price was seen at `{present}`, block time is `{required}`", "set the publisher's clock";
    603 SourceTimeNotLater Milliseconds "the price was seen at `{present}`, the last one of this publisher at `{required}`", "publish each observation once, in the order of time";
    604 SourceTimeTooOld Milliseconds "the price was seen at `{present}`, the feed counts nothing from before `{required}`", "publish what was seen just now";
    605 PriceBeyondRange Nothing "the price is beyond what a market of the feed can express", "check the unit: billionths of the quote asset for one unit of the underlying";
    610 BreakerForbids Count "the segment's breaker is in state `{present}`, this needs at most state `{required}`", "reduce, cancel and top up stay possible; see the breaker's cause";

    // 7xx: proposals.
    700 ProposalNotFound Count "proposal `{present}` does not exist or is over", "list the segment's proposals";
    701 OldValueDiffers Count "the proposal names the old value `{present}`, it is `{required}`", "propose again with the value as it is";
    702 ChangeNotAllowed Count "state `{present}` is not looser than `{required}`", "tightening needs no proposal: triggers do it";
    703 AlreadyApproved Count "operator `{present}` has approved this proposal", "nothing to do: an operator counts once";
    704 ProposalLifeNotAllowed Milliseconds "the proposal would live `{present}`, at least 1 and at most `{required}` is allowed", "choose another end";
    705 ProposalsMax Count "the operator has `{present}` open proposals in the segment, the maximum is `{required}`", "wait until one is over";
    706 GovernorRequired Count "leaving state `{present}` is for governors to decide", "ask a governor to propose and approve";
    707 PolicySetUnreadable Nothing "the set of policies does not read, or is beyond a bound", "let `casemate policy check` say where";
    708 VenueChangeElsewhere Count "changes of the venue are proposed in segment `{required}`, not in segment `{present}`", "name that segment";
    709 GovernorsLoosen Nothing "policies that are not declared as tightening are for governors to decide", "ask a governor, or declare the change as tightening if `casemate policy diff` says so";
    710 RiskOfficersTighten Nothing "policies that only tighten are for risk officers to decide", "ask a risk officer, or declare the change as a loosening, which waits longer";

    // 8xx: conduct. An anomaly and damage together; see docs/conduct.md.
    800 ConductOutflow Detector "conduct: `{present}` fired for the account, and more would leave than an account that stands out may take of the vault", "wait until the band falls, take less, or ask for principal by the slow exit, which nothing holds up";
    801 ConductKeysWhilePending Detector "conduct: `{present}` fired for the account, and a key would change while money waits to leave", "cancel what waits, or wait until the band falls";
    802 ConductPriceStep Detector "conduct: `{present}` fired for the account, and the order would move the price further than an account that stands out may", "trade less at once; cancels, reductions and top-ups are never held up";
    803 ConductOwnLoss Detector "conduct: `{present}` fired for the account, and with the order it would have lost too large a part of its equity against the index within the hour", "if the key is not yours to lose, revoke its grant; else name a price closer to the index";
    804 ConductBookDepth Detector "conduct: `{present}` fired for the account, and the order would be most of its side of the book", "show less; cancels, reductions and top-ups are never held up";
    805 ConductOpenInterest Detector "conduct: `{present}` fired for the account, and its position would be too large a part of open interest", "trade less, or reduce";
    806 ContestedLately Count "the account contested its links at `{required}`, and the block is at `{present}`", "contest again seven days after; what is inferred fades meanwhile";

    // 9xx: the segment.
    900 SegmentFaulted Count "segment `{present}` failed an invariant: everything it did in this block was undone and it is halted", "cancel and top up stay possible once the segment is recovered";
    901 GroupRolledBack Count "another command of the all-or-nothing group was refused with `{present}`", "see that command's refusal";
    902 SegmentHalted Count "segment `{present}` is halted", "only cancels and deposits are taken until it is recovered";
}

/// A refusal: the rule, and the two numbers it compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    code: RejectCode,
    required: i64,
    present: i64,
}

impl Reject {
    /// A refusal by a rule that has compared nothing yet.
    #[must_use]
    pub const fn of(code: RejectCode) -> Self {
        Self { code, required: 0, present: 0 }
    }

    /// What the rule requires, in the code's measure; held at the end of the range.
    #[must_use]
    pub fn required(self, number: u64) -> Self {
        Self { required: i64::try_from(number).unwrap_or(i64::MAX), ..self }
    }

    /// What was there, in the code's measure; held at the end of the range.
    #[must_use]
    pub fn present(self, number: u64) -> Self {
        Self { present: i64::try_from(number).unwrap_or(i64::MAX), ..self }
    }

    /// Both amounts of a refusal about money.
    #[must_use]
    pub const fn quote(self, required: QuoteMicros, present: QuoteMicros) -> Self {
        Self { code: self.code, required: required.micros(), present: present.micros() }
    }

    /// The rule that refused.
    #[must_use]
    pub const fn code(&self) -> RejectCode {
        self.code
    }

    /// What was required and what was present, bare.
    #[must_use]
    pub const fn numbers(&self) -> (i64, i64) {
        (self.required, self.present)
    }
}

impl From<RejectCode> for Reject {
    fn from(code: RejectCode) -> Self {
        Self::of(code)
    }
}

impl core::fmt::Display for Reject {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let show = |number: i64| match self.code.measure() {
            Measure::Quote => QuoteMicros::from_micros(number).to_string(),
            Measure::Milliseconds => format!("{number} ms"),
            Measure::Action => Action::ALL
                .into_iter()
                .find(|action| i64::from(action.number()) == number)
                .map_or_else(|| number.to_string(), |action| format!("{action:?}")),
            Measure::Detector => u8::try_from(number)
                .ok()
                .and_then(Detector::from_number)
                .map_or_else(|| number.to_string(), |detector| detector.name().to_owned()),
            Measure::Tier => u8::try_from(number)
                .ok()
                .and_then(Tier::from_number)
                .map_or_else(|| number.to_string(), |tier| tier.name().to_lowercase()),
            Measure::Nothing | Measure::Count | Measure::Ticks | Measure::Lots => number.to_string(),
        };
        let message = self.code.message();
        formatter
            .write_str(&message.replace("{required}", &show(self.required)).replace("{present}", &show(self.present)))
    }
}

impl core::error::Error for Reject {}

impl BorshSerialize for Reject {
    fn serialize<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.code.number().serialize(writer)?;
        self.required.serialize(writer)?;
        self.present.serialize(writer)
    }
}

impl BorshDeserialize for Reject {
    fn deserialize_reader<R: Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let code = RejectCode::from_number(u16::deserialize_reader(reader)?)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "unknown refusal number"))?;
        Ok(Self { code, required: i64::deserialize_reader(reader)?, present: i64::deserialize_reader(reader)? })
    }
}

#[cfg(test)]
mod tests;
