//! A folder of policies: every `*.cedar` file and one `schema.cedarschema`, read within bounds and checked against the schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use casemate_protocol::BoundedVec;
use casemate_protocol::limits::{POLICY_FILE_BYTES_MAX, POLICY_FILE_NAME_BYTES_MAX, POLICY_FILES_MAX};
use casemate_protocol::policy::{PolicyAction, PolicyFile, PolicyKind, PolicySet as SetOfTexts};
use cedar_policy::pst::{ActionConstraint, EntityOrSlot, PrincipalConstraint, ResourceConstraint, Template};
use cedar_policy::{Entities, Policy, PolicyId, PolicySet, Schema, SchemaFragment, ValidationMode, Validator, pst};

use crate::error::{Place, PolicyError};
use crate::expression::measure;
use crate::nesting::require_shallow;
use crate::{DEPTH_MAX, EXPRESSIONS_MAX, LOADING_STACK_BYTES, POLICIES_MAX};

/// The schema that this version of the software fills requests for.
const SCHEMA: &str = include_str!("../../../spec/policies/schema.cedarschema");
const SCHEMA_FILE: &str = "schema.cedarschema";

/// The set that comes with this version: what `spec/policies` holds.
const SHIPPED: [(&str, &str); 7] = [
    ("10-trading.cedar", include_str!("../../../spec/policies/10-trading.cedar")),
    ("20-value-leaves.cedar", include_str!("../../../spec/policies/20-value-leaves.cedar")),
    ("30-own-affairs.cedar", include_str!("../../../spec/policies/30-own-affairs.cedar")),
    ("40-conduct.cedar", include_str!("../../../spec/policies/40-conduct.cedar")),
    ("50-offices.cedar", include_str!("../../../spec/policies/50-offices.cedar")),
    ("60-reads.cedar", include_str!("../../../spec/policies/60-reads.cedar")),
    ("70-feeds-and-single-accounts.cedar", include_str!("../../../spec/policies/70-feeds-and-single-accounts.cedar")),
];

/// The texts of a folder of policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFolder {
    /// Text of the schema.
    pub schema: String,
    /// Name and text of each policy file, by name.
    pub files: BTreeMap<String, String>,
}

/// A set of policies that was read, bounded and found to fit the schema.
#[derive(Clone, Debug)]
pub struct Policies {
    #[cfg(feature = "analysis")]
    pub(crate) schema: Schema,
    /// By id.
    policies: Vec<LoadedPolicy>,
    actions: Entities,
}

/// One policy of a set.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    id: String,
    place: Place,
    is_slow: bool,
    is_forbid: bool,
    text: String,
    pub(crate) policy: Policy,
    pub(crate) body: Template,
}

impl PolicyFolder {
    /// The set that comes with this version.
    #[must_use]
    pub fn shipped() -> Self {
        let file = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
        Self { schema: SCHEMA.to_owned(), files: SHIPPED.into_iter().map(file).collect() }
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// What cannot be read, or is larger than it may be.
    pub fn read(folder: &Path) -> Result<Self, PolicyError> {
        let cannot = |path: &Path, error: &std::io::Error| {
            let hint = "name a folder with a `schema.cedarschema` and policy files `*.cedar`";
            PolicyError::new(None, format!("cannot read `{}`: {error}", path.display()), hint)
        };
        let entries = folder.read_dir().map_err(|error| cannot(folder, &error))?;
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| cannot(folder, &error))?.path();
            if path.extension().is_some_and(|extension| extension == "cedar") {
                paths.push(path);
            }
        }
        if paths.len() > POLICY_FILES_MAX {
            let message = format!("{} policy files, more than {POLICY_FILES_MAX}", paths.len());
            return Err(PolicyError::new(None, message, "join files of one theme"));
        }
        let read = |path: &Path| {
            let size_bytes = path.metadata().map_err(|error| cannot(path, &error))?.len();
            if size_bytes > POLICY_FILE_BYTES_MAX as u64 {
                let message = format!("`{}` has {size_bytes} bytes, more than {POLICY_FILE_BYTES_MAX}", path.display());
                return Err(PolicyError::new(None, message, "split it by themes"));
            }
            std::fs::read_to_string(path).map_err(|error| cannot(path, &error))
        };
        let mut files = BTreeMap::new();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, read(&path)?);
        }
        Ok(Self { schema: read(&folder.join(SCHEMA_FILE))?, files })
    }

    /// The files of a set, beside the schema of this version.
    ///
    /// # Errors
    /// A name or a text that is not UTF-8; two files of one name.
    pub fn of_set(set: &SetOfTexts) -> Result<Self, PolicyError> {
        let hint = "make sets with `casemate policy`, from a folder";
        let mut files = BTreeMap::new();
        for PolicyFile { name, text } in &set.files {
            let name = String::from_utf8_lossy(name.as_slice()).into_owned();
            let text = String::from_utf8(text.as_slice().to_vec())
                .map_err(|_error| PolicyError::new(None, format!("`{name}` is not UTF-8"), hint))?;
            if let Some(_twin) = files.insert(name.clone(), text) {
                return Err(PolicyError::new(None, format!("there are two files `{name}`"), hint));
            }
        }
        Ok(Self { schema: SCHEMA.to_owned(), files })
    }

    /// The folder as genesis and proposals carry it; without the schema, which every version has.
    ///
    /// # Errors
    /// A name or a text that is too long, or too many of them.
    pub fn to_set(&self) -> Result<SetOfTexts, PolicyError> {
        let file = |(name, text): (&String, &String)| {
            let too_long = || {
                let message = format!(
                    "`{name}`: a name has at most {POLICY_FILE_NAME_BYTES_MAX} bytes, a text {POLICY_FILE_BYTES_MAX}"
                );
                PolicyError::new(None, message, "split it by themes")
            };
            Ok(PolicyFile {
                name: BoundedVec::new(name.as_bytes().to_vec()).ok_or_else(too_long)?,
                text: BoundedVec::new(text.as_bytes().to_vec()).ok_or_else(too_long)?,
            })
        };
        let files = self.files.iter().map(file).collect::<Result<Vec<_>, PolicyError>>()?;
        let count = files.len();
        let files = BoundedVec::new(files).ok_or_else(|| {
            let message = format!("{count} policy files, more than {POLICY_FILES_MAX}");
            PolicyError::new(None, message, "join files of one theme")
        })?;
        Ok(SetOfTexts { files })
    }
}

impl Policies {
    /// Reads a folder and checks what is in it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn read(folder: &Path) -> Result<Self, PolicyError> {
        Self::load(&PolicyFolder::read(folder)?)
    }

    /// Checks the texts of a folder.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn load(folder: &PolicyFolder) -> Result<Self, PolicyError> {
        stacker::grow(LOADING_STACK_BYTES, || load(folder))
    }

    /// The policies, by id.
    #[must_use]
    pub fn policies(&self) -> &[LoadedPolicy] {
        &self.policies
    }

    /// The policy of an id.
    #[must_use]
    pub fn policy(&self, id: &str) -> Option<&LoadedPolicy> {
        self.policies.iter().find(|policy| policy.id == id)
    }

    pub(crate) fn actions(&self) -> &Entities {
        &self.actions
    }

    /// Whether the policy's head lets it apply to a principal of the kind that asks for the action, to any of them.
    pub(crate) fn may_apply(&self, policy: &LoadedPolicy, kind: PolicyKind, action: PolicyAction) -> bool {
        let entity_type = |place: &EntityOrSlot| match place {
            EntityOrSlot::Entity(uid) => Some(uid.ty.to_string()),
            EntityOrSlot::Slot(_) => None,
        };
        let is_kind = match &policy.body.principal {
            PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
            PrincipalConstraint::Eq(place) => entity_type(place).is_none_or(|name| name == kind.name()),
            PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => name.to_string() == kind.name(),
        };
        let scope = action.scope().name();
        let is_resource = match &policy.body.resource {
            ResourceConstraint::Any | ResourceConstraint::In(_) => true,
            ResourceConstraint::Eq(place) => entity_type(place).is_none_or(|name| name == scope),
            ResourceConstraint::Is(name) | ResourceConstraint::IsIn(name, _) => name.to_string() == scope,
        };
        let is_action = match &policy.body.action {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => uid.eid == action.name(),
            ActionConstraint::In(uids) => uids.iter().any(|uid| self.is_in(action, &uid.eid)),
        };
        is_kind && is_resource && is_action
    }

    /// Whether an action is what is named, or in a group of that name.
    fn is_in(&self, action: PolicyAction, named: &str) -> bool {
        named == action.name() || {
            let groups = self.actions.ancestors(&crate::request::action_uid(action));
            groups.is_some_and(|mut groups| groups.any(|group| group.id().unescaped() == named))
        }
    }
}

impl LoadedPolicy {
    /// The id, from its annotation.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it begins.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is marked for the slow path.
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Whether it forbids.
    #[must_use]
    pub const fn is_forbid(&self) -> bool {
        self.is_forbid
    }

    /// Its text, as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of the first mention of something inside the policy, or where the policy begins.
    pub(crate) fn place_of(&self, mention: &str) -> Place {
        let Some(offset) = self.text.find(mention) else { return self.place.clone() };
        let inside = Place::at(&self.place.file, &self.text, offset);
        let column = if inside.line == 1 { inside.column + self.place.column - 1 } else { inside.column };
        Place { line: inside.line + self.place.line - 1, column, ..inside }
    }

    /// An error about this policy.
    pub(crate) fn error(&self, message: impl std::fmt::Display, hint: &str) -> PolicyError {
        PolicyError::new(Some(self.place.clone()), format!("policy `{}`: {message}", self.id), hint)
    }
}

fn load(folder: &PolicyFolder) -> Result<Policies, PolicyError> {
    let schema = load_schema(&folder.schema)?;
    let validator = Validator::new(schema.clone());
    let mut policies: Vec<LoadedPolicy> = Vec::new();
    for (file, text) in &folder.files {
        for policy in load_file(file, text, &validator)? {
            if let Some(twin) = policies.iter().find(|known| known.id == policy.id) {
                let message = format!("there is one of this name in {} already", twin.place);
                return Err(policy.error(message, "give each policy an `@id` of its own"));
            }
            policies.push(policy);
        }
    }
    if policies.len() > POLICIES_MAX {
        let message = format!("{} policies, more than {POLICIES_MAX}", policies.len());
        return Err(PolicyError::new(None, message, "join policies that say the same of several actions"));
    }
    if policies.is_empty() {
        let hint = "policies are in files `*.cedar`; a set without any permits nothing";
        return Err(PolicyError::new(None, "there is no policy", hint));
    }
    policies.sort_by(|one, other| one.id.cmp(&other.id));
    let actions = schema.action_entities().map_err(|error| {
        PolicyError::new(Some(Place::at(SCHEMA_FILE, "", 0)), error.to_string(), "check the groups of actions")
    })?;
    Ok(Policies {
        #[cfg(feature = "analysis")]
        schema,
        policies,
        actions,
    })
}

fn load_schema(text: &str) -> Result<Schema, PolicyError> {
    require_shallow(SCHEMA_FILE, text, b"()[]{}<>")?;
    let refused = |report: &dyn miette::Diagnostic| {
        PolicyError::of_diagnostic(SCHEMA_FILE, text, report, "see docs.cedarpolicy.com for the syntax of schemas")
    };
    let (schema, _) = Schema::from_cedarschema_str(text).map_err(|error| refused(&error))?;
    let meaning = |text: &str| {
        SchemaFragment::from_cedarschema_str(text).ok().and_then(|(fragment, _)| fragment.to_json_value().ok())
    };
    if meaning(text) != meaning(SCHEMA) {
        let message = "the schema says something else than the one of this version, which requests are filled for";
        let hint = "keep `spec/policies/schema.cedarschema` of the version that runs; new words come with the software";
        return Err(PolicyError::new(Some(Place::at(SCHEMA_FILE, text, 0)), message, hint));
    }
    Ok(schema)
}

fn load_file(file: &str, text: &str, validator: &Validator) -> Result<Vec<LoadedPolicy>, PolicyError> {
    require_shallow(file, text, b"()[]{}")?;
    let refused = |report: &dyn miette::Diagnostic, hint: &str| PolicyError::of_diagnostic(file, text, report, hint);
    let parsed = PolicySet::from_str(text)
        .map_err(|error| refused(&error, "see docs.cedarpolicy.com for the syntax of policies"))?;
    if let Some(template) = parsed.templates().next() {
        let message = format!("template `{}`: templates are not part of a set", template.id());
        let hint = "write the policy out, without `?principal` and `?resource`";
        return Err(PolicyError::new(Some(Place::at(file, text, 0)), message, hint));
    }
    let verdict = validator.validate(&parsed, ValidationMode::Strict);
    if let Some(error) = verdict.validation_errors().next() {
        return Err(refused(error, "`schema.cedarschema` names every type, action and attribute there is"));
    }
    if let Some(warning) = verdict.validation_warnings().next() {
        return Err(refused(warning, "a policy that never applies or is easily misread is refused"));
    }
    let mut found: Vec<&Policy> = parsed.policies().collect();
    // Cedar numbers policies `policy0`, `policy1` and so on as they stand in the file, and gives them back in any order.
    let number = |policy: &Policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().ok();
    found.sort_by_key(|policy| number(policy));
    let mut from = 0;
    let mut loaded = Vec::with_capacity(found.len());
    for policy in found {
        let policy_text = policy.to_cedar().unwrap_or_default();
        let offset = text.get(from..).and_then(|rest| rest.find(&policy_text)).map_or(from, |at| from + at);
        from = offset + policy_text.len().min(text.len() - offset);
        loaded.push(load_policy(Place::at(file, text, offset), policy_text, policy)?);
    }
    Ok(loaded)
}

fn load_policy(place: Place, text: String, policy: &Policy) -> Result<LoadedPolicy, PolicyError> {
    let id = match policy.annotation("id") {
        Some(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()) => id.to_owned(),
        other => {
            let message = format!("a policy's `@id` is `{}`", other.unwrap_or("missing"));
            let hint = "write `@id(\"what-it-says\")` before it: refusals and differences name policies by it";
            return Err(PolicyError::new(Some(place), message, hint));
        }
    };
    let is_slow = match policy.annotation("path") {
        None => false,
        Some("slow") => true,
        Some(other) => {
            let message = format!("policy `{id}`: there is no path `{other}`");
            return Err(PolicyError::new(Some(place), message, "write `@path(\"slow\")` or nothing"));
        }
    };
    let policy = policy.new_id(PolicyId::new(&id));
    let body = match policy.to_pst() {
        Ok(pst::Policy::Static(body)) => body.body().clone(),
        Ok(_) => return Err(PolicyError::new(Some(place), format!("policy `{id}` is linked"), "write it out")),
        Err(error) => return Err(PolicyError::new(Some(place), format!("policy `{id}`: {error}"), "simplify it")),
    };
    let is_forbid = body.effect == pst::Effect::Forbid;
    let loaded = LoadedPolicy { id, place, is_slow, is_forbid, text, policy, body };
    let (depth, count) = measure(loaded.body.clauses());
    if depth > DEPTH_MAX {
        return Err(loaded.error(format_args!("nests {depth} deep, more than {DEPTH_MAX}"), "split it in two"));
    }
    if count > EXPRESSIONS_MAX {
        return Err(loaded.error(format_args!("{count} expressions, more than {EXPRESSIONS_MAX}"), "split it in two"));
    }
    Ok(loaded)
}
