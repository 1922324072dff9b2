//! Shapes that several resources share. A duration is whole seconds, a time is RFC 3339 in UTC.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use guestlist::access_rules::ActionSet;
use guestlist::membership::By as GuestBy;
use guestlist::membership::Metadata;
use guestlist::membership::link::{Approval as GuestApproval, Preset as GuestPreset};
use guestlist::types::MemberKind;
use guestlist::{JoinedBy, OrgId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{Problem, of_field, parse, parse_some};

/// Takes these structs from objects only: by itself, serde takes an array for the fields in their
/// order. They are marked `remote = "Self"`.
macro_rules! from_objects {
    ($($name:ident),+ $(,)?) => {
        $(impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        map: A,
                    ) -> Result<$name, A::Error> {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }

                from.deserialize_map(Fields)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $name::serialize(self, to)
            }
        })+
    };
}
pub(crate) use from_objects;

from_objects!(Preset, PresetGrant, LinkDraft, Member, Sequence);

/// The schema of texts that guestlist has as an enum. Whether they are all is tested.
macro_rules! texts {
    ($($name:ident: $($text:literal)|+;)+) => {
        $(pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some([$($text),+]))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        })+
    };
}

texts! {
    ActionName: "read" | "create" | "update" | "delete" | "share" | "public_read";
    Approval: "review" | "auto";
    AddressCheck: "exact" | "any-verified" | "bearer";
    Audience: "everyone" | "internal-users";
    Cause: "withdrew" | "left" | "rejected" | "removed" | "expired";
    Condition: "open" | "disabled" | "expired" | "exhausted" | "paused";
    Delivery: "unknown" | "sent" | "undelivered";
    InvitePhase: "pending" | "expired" | "accepted" | "declined" | "revoked";
    Joins: "link-decides" | "always-review" | "always-auto";
    Kind: "organizations" | "users";
    Kinds: "organizations" | "users" | "both";
    LinkStatus: "active" | "disabled";
    OrganizationStatus: "active" | "suspended" | "deleted";
    SecondInvite: "refuse" | "replace";
    Sharing: "within-own" | "within-namespace" | "owners-only";
    SignOn: "usual" | "single" | "elsewhere";
    Standing: "keep" | "must-be-member" | "must-hold-right";
    Status: "pending" | "approved" | "rejected" | "removed" | "cancelled";
    UseState: "reserved" | "settled" | "released";
}

/// A number that every client can hold exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Number(u64);

/// JavaScript's largest.
const MAX_NUMBER: u64 = (1 << 53) - 1;

impl Number {
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// What guestlist holds; something larger is shown as the largest.
    pub(crate) fn of(number: u64) -> Self {
        Self(number.min(MAX_NUMBER))
    }

    pub(crate) const fn seconds(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl TryFrom<u64> for Number {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        if number > MAX_NUMBER {
            Err("a number is at most 9007199254740991")
        } else {
            Ok(Self(number))
        }
    }
}

impl PartialSchema for Number {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(9_007_199_254_740_991_i64))
            .into()
    }
}

impl ToSchema for Number {
    fn name() -> Cow<'static, str> {
        "Number".into()
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows, in the order of the list.
    pub(crate) items: Vec<T>,
    /// Where the next page begins, for `after`; null on the last one.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

impl<T> List<T> {
    pub(crate) fn of<R: Into<T>>(rows: Vec<R>, next: Option<&guestlist::Cursor>) -> Self {
        Self {
            items: rows.into_iter().map(Into::into).collect(),
            next: next.map(|cursor| cursor.as_str().to_owned()),
        }
    }
}

/// How much of a list, and from where on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// How many rows; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
    /// `next` of the page before.
    pub(crate) after: Option<String>,
}

impl Paging {
    pub(crate) fn page(&self) -> Result<guestlist::Page, Problem> {
        super::extract::page(self.limit, self.after.as_deref())
    }
}

/// Whether a member is an organization or a user, as a segment of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Which {
    Organizations,
    Users,
}

/// The member that a path names.
pub(crate) fn member_at(which: Which, id: &str) -> Result<guestlist::Member, Problem> {
    let unknown = |_| Problem::not_found("membership");
    Ok(match which {
        Which::Organizations => OrgId::parse(id).map_err(unknown)?.into(),
        Which::Users => UserId::parse(id).map_err(unknown)?.into(),
    })
}

/// An organization or a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub(crate) struct Member {
    /// Which of the two.
    #[schema(value_type = Kind)]
    pub(crate) kind: Which,
    /// Its id.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) id: String,
}

impl From<&guestlist::Member> for Member {
    fn from(member: &guestlist::Member) -> Self {
        let kind = match member.kind() {
            MemberKind::Org => Which::Organizations,
            MemberKind::User => Which::Users,
        };
        Self {
            kind,
            id: member.id().to_owned(),
        }
    }
}

impl Member {
    pub(crate) fn parse(&self, field: &'static str) -> Result<guestlist::Member, Problem> {
        Ok(match self.kind {
            Which::Organizations => parse::<OrgId>(field, &self.id)?.into(),
            Which::Users => parse::<UserId>(field, &self.id)?.into(),
        })
    }
}

/// Who did something.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct By {
    /// `user`; or `policy`, `clock` or `system`, where nobody did it.
    #[schema(example = "user")]
    kind: &'static str,
    /// The user.
    user: Option<String>,
    /// The organization that the user acted for.
    organization: Option<String>,
}

impl From<&GuestBy> for By {
    fn from(by: &GuestBy) -> Self {
        let nobody = |kind| Self {
            kind,
            user: None,
            organization: None,
        };
        match by {
            GuestBy::User { user, organization } => Self {
                kind: "user",
                user: Some(user.to_string()),
                organization: organization.as_ref().map(ToString::to_string),
            },
            GuestBy::Policy => nobody("policy"),
            GuestBy::Clock => nobody("clock"),
            GuestBy::System => nobody("system"),
        }
    }
}

/// Which keys: all of them, those below a prefix of whole segments, or one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(example = json!({ "prefix": "guides/" }))]
pub(crate) enum Pattern {
    /// Every key.
    All,
    /// Those below it; it ends with a `/`.
    Prefix(String),
    /// This one.
    Exact(String),
}

impl From<&guestlist::Pattern> for Pattern {
    fn from(pattern: &guestlist::Pattern) -> Self {
        use guestlist::access_rules::PatternKind;
        let text = pattern.as_str().to_owned();
        match pattern.kind() {
            PatternKind::All => Self::All,
            PatternKind::Prefix => Self::Prefix(text),
            PatternKind::Exact => Self::Exact(text),
        }
    }
}

impl Pattern {
    pub(crate) fn parse(&self, field: &'static str) -> Result<guestlist::Pattern, Problem> {
        use guestlist::access_rules::{PatternError, PatternKind};
        let (text, kind) = match self {
            Self::All => return Ok(guestlist::Pattern::all()),
            Self::Prefix(text) => (text, PatternKind::Prefix),
            Self::Exact(text) => (text, PatternKind::Exact),
        };
        let pattern: guestlist::Pattern = parse(field, text)?;
        if pattern.kind() == kind {
            Ok(pattern)
        } else {
            Err(of_field(field, &PatternError::Kind))
        }
    }
}

/// A grant that comes with a membership.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub(crate) struct PresetGrant {
    /// What may be done.
    #[schema(value_type = Vec<ActionName>)]
    pub(crate) actions: ActionSet,
    /// With which keys.
    pub(crate) pattern: Pattern,
}

/// What a link, an invite or an approval gives.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub(crate) struct Preset {
    /// The role of a joining user; the lowest one if nothing is said.
    #[schema(max_length = 40, example = "read")]
    pub(crate) role: Option<String>,
    /// The ids of groups.
    pub(crate) groups: Vec<String>,
    /// Direct grants.
    pub(crate) grants: Vec<PresetGrant>,
}

impl From<&GuestPreset> for Preset {
    fn from(preset: &GuestPreset) -> Self {
        Self {
            role: preset.role.as_ref().map(ToString::to_string),
            groups: preset.groups.iter().map(ToString::to_string).collect(),
            grants: preset
                .grants
                .iter()
                .map(|grant| PresetGrant {
                    actions: grant.actions,
                    pattern: (&grant.pattern).into(),
                })
                .collect(),
        }
    }
}

impl Preset {
    pub(crate) fn parse(&self) -> Result<GuestPreset, Problem> {
        Ok(GuestPreset {
            role: parse_some("preset.role", self.role.as_deref())?,
            groups: parse_all("preset.groups", &self.groups)?,
            grants: self
                .grants
                .iter()
                .map(|grant| {
                    Ok(guestlist::PresetGrant {
                        actions: grant.actions,
                        pattern: grant.pattern.parse("preset.grants.pattern")?,
                    })
                })
                .collect::<Result<_, Problem>>()?,
        })
    }
}

/// When something stops: never, at a time, or so many seconds from now.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(example = json!({ "after-seconds": 604_800 }))]
pub(crate) enum Expiry {
    /// Never.
    Never,
    /// Then.
    #[schema(value_type = String, format = DateTime)]
    At(Timestamp),
    /// So long after the command.
    AfterSeconds(Number),
}

impl From<Expiry> for guestlist::Expiry {
    fn from(expiry: Expiry) -> Self {
        match expiry {
            Expiry::Never => Self::Never,
            Expiry::At(time) => Self::At(time),
            Expiry::AfterSeconds(seconds) => Self::After(seconds.seconds()),
        }
    }
}

impl From<guestlist::Expiry> for Expiry {
    fn from(expiry: guestlist::Expiry) -> Self {
        match expiry {
            guestlist::Expiry::Never => Self::Never,
            guestlist::Expiry::At(time) => Self::At(time),
            guestlist::Expiry::After(duration) => {
                Self::AfterSeconds(Number::of(duration.as_secs()))
            }
        }
    }
}

/// How many distinct members may get past a link.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(example = json!({ "at-most": 10 }))]
pub(crate) enum Uses {
    /// Any number.
    Unlimited,
    /// This many; zero is refused.
    AtMost(Number),
}

impl From<Uses> for guestlist::Uses {
    fn from(uses: Uses) -> Self {
        match uses {
            Uses::Unlimited => Self::Unlimited,
            Uses::AtMost(number) => Self::AtMost(number.get()),
        }
    }
}

impl From<guestlist::Uses> for Uses {
    fn from(uses: guestlist::Uses) -> Self {
        match uses {
            guestlist::Uses::Unlimited => Self::Unlimited,
            guestlist::Uses::AtMost(number) => Self::AtMost(Number::of(number)),
        }
    }
}

/// How long memberships or invites last.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(example = json!({ "for-seconds": 2_592_000 }))]
pub(crate) enum Lasting {
    /// Until they are ended.
    Always,
    /// So long.
    ForSeconds(Number),
}

impl From<Lasting> for guestlist::Lasting {
    fn from(lasting: Lasting) -> Self {
        match lasting {
            Lasting::Always => Self::Always,
            Lasting::ForSeconds(seconds) => Self::For(seconds.seconds()),
        }
    }
}

impl From<guestlist::Lasting> for Lasting {
    fn from(lasting: guestlist::Lasting) -> Self {
        match lasting {
            guestlist::Lasting::Always => Self::Always,
            guestlist::Lasting::For(duration) => Self::ForSeconds(Number::of(duration.as_secs())),
        }
    }
}

/// What is asked for when a link is created or edited. What is left out comes from the settings for
/// a new link, and stays as it is in an edit.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
#[schema(example = json!({
    "label": "Conference booth",
    "approval": "review",
    "joined_by": "both",
    "preset": { "role": "read" },
    "expiry": { "after-seconds": 604_800 },
    "max_uses": { "at-most": 50 },
}))]
pub(crate) struct LinkDraft {
    /// What the link is called in lists.
    #[schema(max_length = 120)]
    pub(crate) label: Option<String>,
    /// Whether a claim needs somebody's approval.
    #[schema(value_type = Option<Approval>)]
    pub(crate) approval: Option<GuestApproval>,
    /// Who may use it.
    #[schema(value_type = Option<Kinds>)]
    pub(crate) joined_by: Option<JoinedBy>,
    /// What it gives.
    pub(crate) preset: Option<Preset>,
    /// When it stops working.
    pub(crate) expiry: Option<Expiry>,
    /// How many may get past it.
    pub(crate) max_uses: Option<Uses>,
    /// Only persons with a verified address at one of these domains; empty: everybody.
    pub(crate) allowed_domains: Option<Vec<String>>,
    /// Only these members; empty: everybody.
    pub(crate) allowed_members: Option<Vec<Member>>,
    /// How long memberships through it last.
    pub(crate) membership_lasts: Option<Lasting>,
    /// What the joining side is asked.
    pub(crate) questions: Option<Vec<String>>,
    /// The application's own data, which travels to the membership: an object of at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    pub(crate) metadata: Option<serde_json::Value>,
}

impl LinkDraft {
    pub(crate) fn parse(&self) -> Result<guestlist::LinkDraft, Problem> {
        Ok(guestlist::LinkDraft {
            label: parse_some("label", self.label.as_deref())?,
            approval: self.approval,
            joined_by: self.joined_by,
            preset: self.preset.as_ref().map(Preset::parse).transpose()?,
            expiry: self.expiry.map(Into::into),
            max_uses: self.max_uses.map(Into::into),
            allowed_domains: self
                .allowed_domains
                .as_ref()
                .map(|domains| parse_all("allowed_domains", domains))
                .transpose()?,
            allowed_members: self
                .allowed_members
                .as_ref()
                .map(|members| {
                    members
                        .iter()
                        .map(|member| member.parse("allowed_members"))
                        .collect::<Result<_, Problem>>()
                })
                .transpose()?,
            membership_ttl: self.membership_lasts.map(Into::into),
            questions: self.questions.clone(),
            metadata: self.metadata.as_ref().map(metadata_of).transpose()?,
        })
    }
}

impl From<&guestlist::LinkDraft> for LinkDraft {
    fn from(draft: &guestlist::LinkDraft) -> Self {
        Self {
            label: draft.label.as_ref().map(ToString::to_string),
            approval: draft.approval,
            joined_by: draft.joined_by,
            preset: draft.preset.as_ref().map(Into::into),
            expiry: draft.expiry.map(Into::into),
            max_uses: draft.max_uses.map(Into::into),
            allowed_domains: draft
                .allowed_domains
                .as_ref()
                .map(|domains| domains.iter().map(ToString::to_string).collect()),
            allowed_members: draft
                .allowed_members
                .as_ref()
                .map(|members| members.iter().map(Into::into).collect()),
            membership_lasts: draft.membership_ttl.map(Into::into),
            questions: draft.questions.clone(),
            metadata: draft.metadata.as_ref().map(json_of),
        }
    }
}

pub(crate) fn metadata_of(value: &serde_json::Value) -> Result<Metadata, Problem> {
    Metadata::from_json(&value.to_string()).map_err(|error| of_field("metadata", &error))
}

pub(crate) fn json_of(metadata: &Metadata) -> serde_json::Value {
    serde_json::from_str(metadata.as_json()).unwrap_or_default()
}

/// Reads the texts of a field.
pub(crate) fn parse_all<T>(field: &'static str, texts: &[String]) -> Result<BTreeSet<T>, Problem>
where
    T: std::str::FromStr<Err: super::problem::Coded> + Ord,
{
    texts.iter().map(|text| parse(field, text)).collect()
}

pub(crate) fn seconds(duration: Option<Duration>) -> Option<u64> {
    duration.map(|duration| duration.as_secs())
}

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub(crate) struct Sequence {
    /// Which commit.
    pub(crate) commit: Number,
    /// Which event of that commit.
    pub(crate) ordinal: Number,
}

impl From<guestlist::store::Sequence> for Sequence {
    fn from(sequence: guestlist::store::Sequence) -> Self {
        Self {
            commit: Number::of(sequence.commit),
            ordinal: Number::of(sequence.ordinal),
        }
    }
}

impl From<Sequence> for guestlist::store::Sequence {
    fn from(sequence: Sequence) -> Self {
        Self {
            commit: sequence.commit.get(),
            ordinal: sequence.ordinal.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use guestlist::Action;

    use super::*;

    fn texts<T: PartialSchema>() -> BTreeSet<String> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let texts = schema["enum"].as_array().unwrap().iter();
        texts
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    }

    fn names<T: Serialize>(values: &[T]) -> BTreeSet<String> {
        let name = |value| serde_json::to_value(value).unwrap();
        values
            .iter()
            .map(|value| name(value).as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_texts_of_enums_are_all_of_them() {
        use guestlist::membership::{link, member};
        assert_eq!(texts::<ActionName>(), names(&Action::ALL));
        assert_eq!(texts::<Status>(), names(&member::Status::ALL));
        assert_eq!(
            texts::<Kinds>(),
            names(&[JoinedBy::Organizations, JoinedBy::Users, JoinedBy::Both])
        );
        assert_eq!(
            texts::<Approval>(),
            names(&[GuestApproval::Review, GuestApproval::Auto])
        );
        assert_eq!(
            texts::<Kind>(),
            names(&[Which::Organizations, Which::Users])
        );
        assert_eq!(
            texts::<UseState>(),
            names(&[
                link::UseState::Reserved,
                link::UseState::Settled,
                link::UseState::Released
            ])
        );
        assert_eq!(
            texts::<Condition>(),
            names(&[
                link::LinkCondition::Open,
                link::LinkCondition::Disabled,
                link::LinkCondition::Expired,
                link::LinkCondition::Exhausted,
                link::LinkCondition::Paused
            ])
        );
    }
}
