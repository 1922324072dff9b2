//! The defects. Each is what somebody could write by mistake, or has.

use super::{Defect, Job};

/// A test binary of a package: a file in `tests`, or the unit tests.
const fn job(package: &'static str, target: &'static str, filter: &'static str) -> Job {
    Job {
        package,
        target,
        filter,
    }
}

const fn rules(filter: &'static str) -> Job {
    job("guestlist-membership", "rules", filter)
}

const LINK_DECIDE: &str = "crates/guestlist-membership/src/link/decide.rs";
const MEMBER_DECIDE: &str = "crates/guestlist-membership/src/member/decide.rs";
const MEMBER_EVOLVE: &str = "crates/guestlist-membership/src/member/evolve.rs";
const CHANGE: &str = "crates/guestlist-access/src/change.rs";
const ACCESS_DECIDE: &str = "crates/guestlist-access/src/decide.rs";
const COMMIT: &str = "crates/guestlist-store/src/commit.rs";
const KEY: &str = "crates/guestlist-types/src/key.rs";
const RATE: &str = "crates/guestlist/src/rate.rs";
const FACADE: &str = "crates/guestlist/src/facade.rs";

pub(crate) const DEFECTS: &[Defect] = &[
    // Tokens and links.
    Defect {
        name: "selector-issued-twice",
        breaks: "T1: no selector is ever issued twice",
        file: LINK_DECIDE,
        text: "Some(_) => Err(CommandError::SelectorTaken),",
        replacement: "Some(_) => Ok(()),",
        job: rules("no_selector_is_issued_twice"),
    },
    Defect {
        name: "refresh-does-not-note-its-token",
        breaks: "T2: a link that takes claims has exactly one active token",
        file: "crates/guestlist-membership/src/link/evolve.rs",
        text: "                link.token = Some(*selector);
                link.overlapping = ended",
        replacement: "                link.overlapping = ended",
        job: rules("an_overlap_is_at_most_a_day_and_only_gets_shorter"),
    },
    Defect {
        name: "deleted-link-keeps-its-token",
        breaks: "T2: a link that was deleted has no active token",
        file: LINK_DECIDE,
        text: "Some(LinkEvent::Deleted {
                link: link.id,
                ended: ends(records, link, env.now),",
        replacement: "Some(LinkEvent::Deleted {
                link: link.id,
                ended: Vec::new(),",
        job: job(
            "guestlist-testkit",
            "explore",
            "every_state_keeps_the_rules",
        ),
    },
    Defect {
        name: "overlap-moves-an-end-later",
        breaks: "T3: the end of a token is only ever moved earlier, so a retired one stays retired",
        file: LINK_DECIDE,
        text: "until.map_or(at, |until| until.min(at))",
        replacement: "until.map_or(at, |until| until.max(at))",
        job: rules("an_overlap_is_at_most_a_day_and_only_gets_shorter"),
    },
    Defect {
        name: "refresh-renews-the-expiry",
        breaks: "T4: a refresh changes the token and its generation, and nothing else of the link",
        file: "crates/guestlist-membership/src/link/evolve.rs",
        text: "                link.overlapping = ended
",
        replacement: "                let end = link.config.expires_at;
                link.config.expires_at = end.map(|end| stamp.at + end.since(link.created_at));
                link.overlapping = ended
",
        job: rules("links_end_at_their_end"),
    },
    Defect {
        name: "no-generation-guard",
        breaks: "T5: once a refresh is committed, no claim with the old token is",
        file: LINK_DECIDE,
        text: "    if !env.now.is_before_end(token.valid_until) {
        return Err(TokenProblem::Retired);
    }
",
        replacement: "",
        job: rules("refresh_replaces_the_token_and_nothing_else"),
    },
    Defect {
        name: "token-and-link-are-no-preconditions",
        breaks: "T5: a claim that was decided before a refresh does not commit after it",
        file: COMMIT,
        text: "!key.is_counter() && !key.is_counted())",
        replacement: "!key.is_counter() && !key.is_counted() \
            && !matches!(key, RowKey::Token(_) | RowKey::Link(..)))",
        job: job("guestlist", "races", "ends_of_tokens_hold_on_postgres"),
    },
    Defect {
        name: "old-token-comes-back-with-enable",
        breaks: "T6: no token from before a link was disabled is ever accepted again",
        file: LINK_DECIDE,
        text: "Some(LinkEvent::Disabled {
                link: link.id,
                ended: ends(records, link, env.now),",
        replacement: "Some(LinkEvent::Disabled {
                link: link.id,
                ended: Vec::new(),",
        job: rules("disabling_and_enabling"),
    },
    Defect {
        name: "membership-ends-with-its-link",
        breaks: "T7: a link that expires takes no membership with it",
        file: MEMBER_DECIDE,
        text: "membership_ttl: link.config.membership_ttl,",
        replacement: "membership_ttl: link
                .config
                .membership_ttl
                .or(link.config.expires_at.map(|end| end.since(env.now))),",
        job: job(
            "guestlist",
            "teamwins",
            "over_memory::a_link_can_expire_after_hours",
        ),
    },
    Defect {
        name: "expiry-includes-its-end",
        breaks: "T8: what ends at a time is over at that time",
        file: "crates/guestlist-types/src/time.rs",
        text: "expires_at.is_none_or(|end| self < end)",
        replacement: "expires_at.is_none_or(|end| self <= end)",
        job: rules("links_end_at_their_end"),
    },
    Defect {
        name: "clock-not-clamped",
        breaks: "T8, D12: a clock that steps back revives nothing, and times of events only grow",
        file: "crates/guestlist-membership/src/decide.rs",
        text: "    let env = not_before(env, records);
    let mut items",
        replacement: "    let env = Env { ..*env };
    let mut items",
        job: rules("a_clock_that_steps_back_revives_nothing"),
    },
    Defect {
        name: "limit-checked-then-written",
        breaks: "T9: a link with k uses left lets in exactly k of those who claim at once",
        file: COMMIT,
        text: "(key.is_counter(), before, after)
            && !self.counts_anew(key)",
        replacement: "(key.is_counter(), before, after)
            && self.counts_anew(key)",
        job: job("guestlist", "storms", "limits_hold_in_memory"),
    },
    Defect {
        name: "bound-ignored-in-memory",
        breaks: "T9: a counter never passes its bound",
        file: "crates/guestlist-store/src/memory.rs",
        text: "if below.is_some_and(|below| *count >= below) {",
        replacement: "if below.is_some_and(|below| *count > below) {",
        job: job(
            "guestlist-store",
            "conformance",
            "memory::a_take_is_refused_at_its_bound",
        ),
    },
    Defect {
        name: "bound-ignored-on-sqlite",
        breaks: "T9: a counter never passes its bound",
        file: "crates/guestlist-sqlite/src/plan.rs",
        text: "self.steps.iter().fold(start, step) < self.below",
        replacement: "self.steps.iter().fold(start, step) <= self.below",
        job: job(
            "guestlist-sqlite",
            "conformance",
            "a_take_is_refused_at_its_bound",
        ),
    },
    Defect {
        name: "bound-ignored-on-postgres",
        breaks: "T9: a counter never passes its bound",
        file: "crates/guestlist-postgres/src/plan.rs",
        text: "counter.most.min(below - 1 - counter.add)",
        replacement: "counter.most.min(below - counter.add)",
        job: job(
            "guestlist-postgres",
            "conformance",
            "a_take_is_refused_at_its_bound",
        ),
    },
    Defect {
        name: "repeated-claim-counts-again",
        breaks: "T10: a member counts once, however often it claims",
        file: MEMBER_DECIDE,
        text: "Some(UseState::Settled) => return Ok((None, false)),",
        replacement: "Some(UseState::Settled) => {}",
        job: rules("uses_are_distinct_members_and_the_limit_holds"),
    },
    Defect {
        name: "rejected-request-keeps-its-use",
        breaks: "T10: a use that a request holds is released when it ends without approval",
        file: MEMBER_DECIDE,
        text: "Some(super::state::Status::Pending) => give_back(records, record),
        _ => None,",
        replacement: "_ => None,",
        job: rules("a_reserved_use_is_released_when_the_request_ends"),
    },
    Defect {
        name: "name-reserved-before-asking-who",
        breaks: "T11: a refused command leaves what is stored as it was",
        file: "crates/guestlist/src/organizations.rs",
        text: "        self.check_read(actor, organization, &Reading::Settings)
            .await?;
        self.reserve(organization, &name).await?;",
        replacement: "        self.reserve(organization, &name).await?;",
        job: job(
            "guestlist",
            "facade",
            "a_refused_command_leaves_every_byte_as_it_was",
        ),
    },
    Defect {
        name: "event-holds-a-tag",
        breaks: "T12: no event holds the digest of a token",
        file: LINK_DECIDE,
        text: "            config,
            status: LinkStatus::Active,",
        replacement: r#"            config: LinkConfig {
                label: Label::parse(&self.token.tag.mac().map(|byte| format!("{byte:02x}")).concat()).ok(),
                ..config
            },
            status: LinkStatus::Active,"#,
        job: job("guestlist-membership", "laws", "every_law_holds"),
    },
    Defect {
        name: "token-in-a-log-line",
        breaks: "T12: nothing that is kept, logged or shown holds a token",
        file: "crates/guestlist/src/links.rs",
        text: "        let token = self.draw_token(TokenKind::Link, host)?;
",
        replacement: r#"        let token = self.draw_token(TokenKind::Link, host)?;
        tracing::debug!(token = token.expose_secret(), "a token was drawn");
"#,
        job: job("guestlist", "leaks", "no_secret_is_left_over_memory"),
    },
    Defect {
        name: "checksum-compared-as-a-number",
        breaks: "T13: a token has one spelling",
        file: "crates/guestlist-token/src/token.rs",
        text: "        if checksum != checksum_of(body) {",
        replacement:
            "        let number = |text: &[u8]| base62::decode(text).map(|number| number as u32);
        if number(checksum) != number(&checksum_of(body)) {",
        job: job(
            "guestlist-token",
            "lib",
            "token::tests::the_checksum_has_one_spelling",
        ),
    },
    Defect {
        name: "tag-not-bound-to-its-host",
        breaks: "T14: a token verifies with the host that it was made for and with no other",
        file: "crates/guestlist-token/src/tag.rs",
        text: "    mac.update(&(host.len() as u64).to_be_bytes());
    mac.update(host);
    mac.update(&[0; HOST_BYTES][host.len().min(HOST_BYTES)..]);
",
        replacement: "    let _ = host;
",
        job: job("guestlist-token", "lib", "pepper::"),
    },
    Defect {
        name: "host-taken-from-the-request",
        breaks: "T15: a membership's host is the token's; another one in the request is an invalid token",
        file: MEMBER_DECIDE,
        text: "let elsewhere = records.token(token.selector).map(|token| &token.host) != Some(host);",
        replacement: "let elsewhere = false;",
        job: job(
            "guestlist-membership",
            "invites",
            "a_token_of_another_host_opens_nothing",
        ),
    },
    Defect {
        name: "previews-counted-unasked",
        breaks: "T16: looking at a token changes nothing",
        file: "crates/guestlist/src/links.rs",
        text: "        if self.config.count_previews
            && let Some(record)",
        replacement: "        if let Some(record)",
        job: job(
            "guestlist",
            "facade",
            "a_preview_changes_nothing_and_uses_nothing_up",
        ),
    },
    Defect {
        name: "unknown-told-from-wrong-token",
        breaks: "T17: whatever is wrong with a token, whoever presents it is told the same",
        file: MEMBER_DECIDE,
        text: "                TokenRefusal::disclosed(problem)
            } else {
                TokenRefusal::hidden(problem)",
        replacement: "                TokenRefusal::disclosed(problem)
            } else {
                TokenRefusal::disclosed(problem)",
        job: rules("one_error_for_every_dead_token"),
    },
    Defect {
        name: "no-uses-are-any-number",
        breaks: "T18: a link without any use is refused, and unlimited only if that is said",
        file: LINK_DECIDE,
        text: "Some(NonZeroU64::new(limit).ok_or(CommandError::ZeroUses)?)",
        replacement: "NonZeroU64::new(limit)",
        job: rules("what_a_new_link_must_not_be"),
    },
    Defect {
        name: "never-passes-the-cap",
        breaks: "T18: a new link that lives longer than the policy allows is refused",
        file: LINK_DECIDE,
        text: "        Some(_) | None => Err(CommandError::LifetimeTooLong {",
        replacement: "        None => Ok(()),
        Some(_) => Err(CommandError::LifetimeTooLong {",
        job: rules("a_cap_on_the_lifetime_of_links"),
    },
    // Memberships.
    Defect {
        name: "reject-ends-an-approved-one",
        breaks: "M1: a member that is in is removed, and never rejected",
        file: MEMBER_DECIDE,
        text: "Phase::Pending => end(records, membership, Cause::Rejected, reason.clone(), env),",
        replacement: "Phase::Pending | Phase::Approved => {
                    end(records, membership, Cause::Rejected, reason.clone(), env)
                }",
        job: job(
            "guestlist-membership",
            "table",
            "the_table_in_the_docs_is_what_decide_does",
        ),
    },
    Defect {
        name: "who-comes-back-is-a-new-record",
        breaks: "M2: a membership is one record for ever, whose episodes only grow",
        file: MEMBER_EVOLVE,
        text: "                open(membership, stamp, opening);
                membership.access_since = membership.episode;",
        replacement: "                *membership =
                    Membership::blank(host.clone(), opening.member.clone(), stamp.at);
                open(membership, stamp, opening);
                membership.access_since = membership.episode;",
        job: job(
            "guestlist-membership",
            "table",
            "the_table_in_the_docs_is_what_decide_does",
        ),
    },
    Defect {
        name: "organization-claims-its-own-link",
        breaks: "M3: an organization is no member of itself, by whatever door",
        file: MEMBER_DECIDE,
        text: r#"    // "An organization can't join itself" (spec 2).
    if *member == Member::Org(host.clone()) {
        return Err(CommandError::OwnOrganization);
    }
"#,
        replacement: "",
        job: rules("an_organization_cant_join_itself"),
    },
    Defect {
        name: "proxy-outlives-the-membership",
        breaks: "M4: a proxy user is active exactly while its membership is approved",
        file: "crates/guestlist-membership/src/member/state.rs",
        text: "(self.phase(now) == Phase::Approved).then(|| MemberPrincipal {",
        replacement: "(self.phase(now) != Phase::Never).then(|| MemberPrincipal {",
        job: rules("the_way_to_another_organization_is_through_the_proxy_user"),
    },
    Defect {
        name: "proxy-drawn-anew-on-return",
        breaks: "M5: a member organization has one proxy user in a host, also when it comes back",
        file: MEMBER_DECIDE,
        text: "MemberKind::Org => record.and_then(|record| record.proxy.clone()).or_else(|| {",
        replacement: "MemberKind::Org => record
            .filter(|record| record.status == Some(super::state::Status::Approved))
            .and_then(|record| record.proxy.clone())
            .or_else(|| {",
        job: rules("approving_an_organization_makes_its_one_proxy_user"),
    },
    Defect {
        name: "groups-appended-on-return",
        breaks: "M6, P14: who comes back holds what the current preset gives, and nothing of before",
        file: MEMBER_EVOLVE,
        text: "membership.groups.clone_from(&gift.groups);",
        replacement: "membership.groups.extend(gift.groups.iter().copied());",
        job: rules("coming_back_starts_from_the_current_preset"),
    },
    Defect {
        name: "token-of-the-removal-works",
        breaks: "M7: after a removal only a token that was issued later lets that member in",
        file: MEMBER_DECIDE,
        text: "is_some_and(|removed| !token.issued_at.is_after(removed))",
        replacement: "is_some_and(|removed| removed.is_after(token.issued_at))",
        job: rules("a_token_of_the_moment_of_removal_is_not_newer"),
    },
    Defect {
        name: "approved-keeps-what-was-promised",
        breaks: "M8: who is approved holds what the approval names, and not what the link promised",
        file: MEMBER_EVOLVE,
        text: "                give(membership, gift);
                membership.expires_at = *expires_at;",
        replacement: "                membership.expires_at = *expires_at;",
        job: rules("approve_can_give_something_else"),
    },
    Defect {
        name: "proxy-has-a-role",
        breaks: "M9, P10: a proxy user has no role, so it manages nothing",
        file: MEMBER_DECIDE,
        text: "(MemberKind::Org, _) => Ok(None),",
        replacement: "(MemberKind::Org, role) => Ok(role.clone()),",
        job: rules("the_fixed_ceiling_of_proxy_users"),
    },
    Defect {
        name: "last-owner-leaves",
        breaks: "M9: an organization always has an owner",
        file: MEMBER_DECIDE,
        text: "Err(CommandError::LastOwner)",
        replacement: "Ok(None)",
        job: rules("the_last_owner_stays"),
    },
    Defect {
        name: "anybody-leaves-for-a-member",
        breaks: "M10: nobody but the member itself ends a membership by leaving",
        file: MEMBER_DECIDE,
        text: "MemberCommand::Leave { member } => {
            acts_for(records, actor, member, env)?;
",
        replacement: "MemberCommand::Leave { member } => {
",
        job: rules("the_ways_of_one_member_belong_to_it_alone"),
    },
    Defect {
        name: "any-member-binds-its-organization",
        breaks: "M10: only those who may join and leave for their organization do",
        file: MEMBER_DECIDE,
        text: "if standing.can(Capability::MembershipsManage, env) {",
        replacement: "if standing.is_member() {",
        job: rules("the_ways_of_one_member_belong_to_it_alone"),
    },
    Defect {
        name: "link-of-a-removed-inviter-approves",
        breaks: "M11: a link approves nobody once its creator may not any more",
        file: LINK_DECIDE,
        text: "Standing::MustHoldRight => creator.is_member() && creator.can(right, env),",
        replacement: "Standing::MustHoldRight => true,",
        job: rules("standing_at_claim_and_at_approval"),
    },
    Defect {
        name: "ceiling-only-at-creation",
        breaks: "M12: what a link promised is given only if its creator may still give it",
        file: MEMBER_DECIDE,
        text: "match giver.may_give(preset, kind, records.book(), env) {",
        replacement: "match giver.may_give(preset, kind, records.book(), env).or(Ok(())) {",
        job: rules("what_was_promised_is_checked_again_when_it_is_given"),
    },
    Defect {
        name: "ceiling-by-rank-alone",
        breaks: "M12: nobody gives a role with a right that they don't have",
        file: "crates/guestlist-access/src/role.rs",
        text: "rank <= highest && role.capabilities.is_subset(&ceiling.capabilities)",
        replacement: "rank <= highest || role.capabilities.is_subset(&ceiling.capabilities)",
        job: job(
            "guestlist-membership",
            "ceilings",
            "nobody_gives_or_takes_more_than_they_hold",
        ),
    },
    Defect {
        name: "older-copy-misses-a-change",
        breaks: "M13: a decision sees every change that was committed before it began",
        file: "crates/guestlist/src/rules.rs",
        text: "rules.catch_up(revision, behind.iter().chain(events));",
        replacement: "rules.catch_up(revision, events);",
        job: job(
            "guestlist",
            "lib",
            "rules::tests::changes_are_made_to_the_copy_that_nobody_reads",
        ),
    },
    Defect {
        name: "rules-of-any-revision",
        breaks: "M13: a decision is made on the access rules of the revision that was read",
        file: "crates/guestlist/src/rules.rs",
        text: "(rules.revision == revision).then_some(rules)",
        replacement: "Some(rules)",
        job: job(
            "guestlist",
            "lib",
            "rules::tests::the_shelf_keeps_to_its_budget_and_never_goes_back",
        ),
    },
    Defect {
        name: "gap-in-the-log-of-rules",
        breaks: "M13: access rules are brought up to date by all that has changed, or read whole",
        file: "crates/guestlist-store/src/changes.rs",
        text: "revision == self.reached || revision == self.reached.next();",
        replacement: "revision >= self.reached;",
        job: job(
            "guestlist-store",
            "lib",
            "changes::tests::each_step_must_be_there",
        ),
    },
    Defect {
        name: "precondition-left-out-in-memory",
        breaks: "M14: what was decided on something that has changed is not committed",
        file: "crates/guestlist-store/src/kv_store.rs",
        text: "    let (checks, checked): (Vec<_>, Vec<_>) = checks.into_iter().unzip();",
        replacement: "    checks.truncate(1 + usize::from(commit.receipt.is_some()));
        let (checks, checked): (Vec<_>, Vec<_>) = checks.into_iter().unzip();",
        job: job("guestlist-store", "conformance", "memory::a_claim"),
    },
    Defect {
        name: "precondition-left-out-on-sqlite",
        breaks: "M14: what was decided on something that has changed is not committed",
        file: "crates/guestlist-sqlite/src/apply.rs",
        text: "for (index, (call, expected)) in plan.checks.iter().enumerate() {",
        replacement: "for (index, (call, expected)) in plan.checks.iter().enumerate().skip(1) {",
        job: job("guestlist-sqlite", "conformance", "conflict"),
    },
    Defect {
        name: "precondition-left-out-on-postgres",
        breaks: "M14: what was decided on something that has changed is not committed",
        file: "crates/guestlist-postgres/src/lone.rs",
        text: r#"format!("${number} and done is null")"#,
        replacement: r#"format!("f and ${number}::int8[] is not null and done is null")"#,
        job: job(
            "guestlist-postgres",
            "conformance",
            "the_second_refresh_conflicts",
        ),
    },
    Defect {
        name: "same-key-with-another-body",
        breaks: "M15: a command id stands for one command; with another body it is refused",
        file: FACADE,
        text: "    if receipt.digest != digest {
        return Err(Error::KeyReused);
    }
",
        replacement: "    let _ = digest;
",
        job: job(
            "guestlist",
            "facade",
            "the_same_key_with_other_arguments_is_an_error",
        ),
    },
    Defect {
        name: "retry-under-another-id",
        breaks: "M15, D6: a commit whose outcome is not known is sent again as the same commit",
        file: FACADE,
        text: "match self.store.commit(core::slice::from_ref(commit)).await {",
        replacement: "let mut again = commit.clone();
            if resends > 0 {
                again.id = self.draw(CommitId::generate)?;
            }
            match self.store.commit(&[again]).await {",
        job: job(
            "guestlist",
            "facade",
            "lost_answers_busy_stores_and_conflicts_are_mended",
        ),
    },
    Defect {
        name: "what-is-written-is-not-checked",
        breaks: "M16: of two commands at once on one membership, the second sees the first",
        file: COMMIT,
        text: "!key.is_counter() && !key.is_counted())",
        replacement: "!key.is_counter() && !key.is_counted())
            .filter(|(key, _)| !self.after.changes().any(|(written, ..)| written == *key))",
        job: job(
            "guestlist",
            "schedules",
            "moves_are_in_some_order_in_every_schedule",
        ),
    },
    Defect {
        name: "deleted-host-is-still-reached",
        breaks: "M17: with an organization end the memberships and proxy users in it",
        file: "crates/guestlist-membership/src/route.rs",
        text: "        OrgStatus::Active => {}
        OrgStatus::Suspended | OrgStatus::Deleted => {",
        replacement: "        OrgStatus::Active | OrgStatus::Deleted => {}
        OrgStatus::Suspended => {",
        job: job(
            "guestlist",
            "facade",
            "a_name_leads_to_one_organization_for_ever",
        ),
    },
    Defect {
        name: "people-of-a-deleted-one-still-act",
        breaks: "M17: with an organization ends what its people hold, in it and through it",
        file: "crates/guestlist-membership/src/route.rs",
        text: "        Some(OrgStatus::Active) => {}
        Some(OrgStatus::Suspended | OrgStatus::Deleted) => {",
        replacement: "        Some(OrgStatus::Active | OrgStatus::Deleted) => {}
        Some(OrgStatus::Suspended) => {",
        job: rules("what_an_actor_holds_in_its_own_organization"),
    },
    Defect {
        name: "deleted-member-organization-goes-on",
        breaks: "M17: nobody gets anywhere through an organization that was deleted",
        file: "crates/guestlist-membership/src/route.rs",
        text: "        Some(OrgStatus::Active) => {}
        Some(OrgStatus::Suspended | OrgStatus::Deleted) => {
",
        replacement: "        Some(OrgStatus::Active | OrgStatus::Deleted) => {}
        Some(OrgStatus::Suspended) => {
",
        job: job(
            "guestlist",
            "facade",
            "nobody_gets_anywhere_through_an_organization_that_was_deleted",
        ),
    },
    Defect {
        name: "deleted-host-lets-in",
        breaks: "M17: nobody gets into an organization that was deleted",
        file: "crates/guestlist-membership/src/route.rs",
        text: "        OrgStatus::Active => {}
        OrgStatus::Suspended | OrgStatus::Deleted => {
",
        replacement: "        OrgStatus::Active | OrgStatus::Deleted => {}
        OrgStatus::Suspended => {
",
        job: rules("the_way_to_another_organization_is_through_the_proxy_user"),
    },
    Defect {
        name: "seats-ignore-pending",
        breaks: "M18: where pending requests count, they take a seat",
        file: MEMBER_DECIDE,
        text: "(_, false) => seats.count_pending,",
        replacement: "(_, false) => false,",
        job: rules("seats_are_limited"),
    },
    // Permissions, groups and addresses.
    Defect {
        name: "expired-grant-counts",
        breaks: "P1: only a live grant allows anything",
        file: ACCESS_DECIDE,
        text: "    fn is_live(&self, now: Timestamp) -> bool {
        now.is_before_end(self.expires_at)",
        replacement: "    fn is_live(&self, now: Timestamp) -> bool {
        now.is_before_end(None)",
        job: job(
            "guestlist-access",
            "lib",
            "decide::tests::a_grant_ends_with_its_last_microsecond",
        ),
    },
    Defect {
        name: "most-specific-grant-decides",
        breaks: "P2: one grant more never takes away what another one gives",
        file: ACCESS_DECIDE,
        text: ".find(|gift| gift.has(action) && gift.is_live(now) && gift.pattern.covers(key))",
        replacement: ".filter(|gift| gift.is_live(now) && gift.pattern.covers(key))
        .max_by_key(|gift| gift.pattern.as_str().len())
        .filter(|gift| gift.has(action))",
        job: job(
            "guestlist-access",
            "lib",
            "decide::tests::more_grants_and_groups_never_take_away",
        ),
    },
    Defect {
        name: "group-removal-not-in-the-index",
        breaks: "P3: the index that is changed in place answers as one that is built anew",
        file: "crates/guestlist-access/src/index/groups.rs",
        text: "            (node.exists, node.internal) = (false, false);
            self.refresh(group);
",
        replacement: "            (node.exists, node.internal) = (false, false);
",
        job: job("guestlist-access", "lib", "index::tests"),
    },
    Defect {
        name: "one-audience-per-principal",
        breaks: "P4: a user has what is granted to everyone as well as what is granted to users",
        file: ACCESS_DECIDE,
        text: "    let audiences = [Audience::Everyone]
        .into_iter()
        .chain(internal.map(|_| Audience::InternalUsers));",
        replacement: "    let audiences =
        [internal.map_or(Audience::Everyone, |_| Audience::InternalUsers)].into_iter();",
        job: job(
            "guestlist-access",
            "lib",
            "decide::tests::decide_is_the_brute_force_union",
        ),
    },
    Defect {
        name: "prefix-without-boundary",
        breaks: "P5: `shared/` covers what is below `shared`, and no sibling of it",
        file: "crates/guestlist-access/src/pattern.rs",
        text: "text.starts_with(pattern)",
        replacement: "text.starts_with(pattern.trim_end_matches('/'))",
        job: job(
            "guestlist-access",
            "lib",
            "decide::tests::a_grant_on_a_prefix_leaks_no_sibling",
        ),
    },
    Defect {
        name: "internal-grants-reach-proxies",
        breaks: "P6: of the grants to all, a proxy user has those marked for everyone only",
        file: ACCESS_DECIDE,
        text: "let internal = principal.filter(|member| !member.is_outsider());",
        replacement: "let internal = principal;",
        job: job(
            "guestlist-access",
            "lib",
            "decide::tests::audiences_are_told_apart",
        ),
    },
    Defect {
        name: "stated-role-counts-everywhere",
        breaks: "P7: whoever is somebody in another organization changes nothing here",
        file: "crates/guestlist-membership/src/standing.rs",
        text: "if actor.is_vouched_for() && actor.organization() == Some(org) {",
        replacement: "if actor.is_vouched_for() {",
        job: job(
            "guestlist",
            "incidents",
            "a_role_counts_in_its_own_organization_only::in_memory",
        ),
    },
    Defect {
        name: "rules-of-the-first-organization",
        breaks: "P7, P8: what a proxy user may do is decided by the rules of its host alone",
        file: "crates/guestlist/src/decisions.rs",
        text: "rules: host.and_then(|host| loaded.rules.get(host)).cloned(),",
        replacement: "rules: loaded.rules.values().next().cloned(),",
        job: job(
            "guestlist",
            "facade",
            "the_rules_of_a_member_organization_decide_nothing_in_its_host",
        ),
    },
    Defect {
        name: "grants-of-the-bucket",
        breaks: "P7: grants of another organization decide nothing here, whatever bucket it is in",
        file: "crates/guestlist-store/src/kv_keys.rs",
        text: "Bytes::in_org(org, GRANT).range()",
        replacement: "Bytes::of(Bucket::of(org), GRANT).range()",
        job: job(
            "guestlist-store",
            "conformance",
            "memory::organizations_do_not_collide",
        ),
    },
    Defect {
        name: "group-members-of-the-bucket",
        breaks: "P7: groups of another organization decide nothing here, whatever bucket it is in",
        file: "crates/guestlist-store/src/kv_keys.rs",
        text: "Bytes::in_org(org, GROUP_MEMBER).range()",
        replacement: "Bytes::of(Bucket::of(org), GROUP_MEMBER).range()",
        job: job(
            "guestlist-store",
            "conformance",
            "memory::organizations_do_not_collide",
        ),
    },
    Defect {
        name: "address-followed-as-oneself",
        breaks: "P8: through `@org/key` the proxy user's rights count, and not one's own",
        file: "crates/guestlist-membership/src/route.rs",
        text: "        principal: Principal::Member(principal),
",
        replacement: "        principal: own.principal,
",
        job: rules("the_way_to_another_organization_is_through_the_proxy_user"),
    },
    Defect {
        name: "key-begins-like-an-address",
        breaks: "P8: no key of one's own begins with `@`",
        file: KEY,
        text: "        b'@' => return Err(KeyError::LeadingAt),
",
        replacement: "",
        job: job(
            "guestlist-types",
            "lib",
            "key::tests::keys_are_refused_never_repaired",
        ),
    },
    Defect {
        name: "an-address-behind-an-address",
        breaks: "P9: `@a/@b/k` is refused, there is one hop only",
        file: "crates/guestlist-types/src/address.rs",
        text: "Key::parse(key).map_err(AddressError::Key)?,",
        replacement: "Self::parse(key)?.key,",
        job: job(
            "guestlist-types",
            "lib",
            "address::tests::one_hop_and_nothing_else",
        ),
    },
    Defect {
        name: "proxy-goes-on-through-its-host",
        breaks: "P9: a proxy user never uses the memberships of its host",
        file: "crates/guestlist/src/rights.rs",
        text: "        let followed = self.follow(actor, organization).await?;
",
        replacement: "        let mut followed = self.follow(actor, organization).await?;
        if let (Some(_), Some(member)) = (organization, actor.as_member_organization())
            && followed.reached_at(followed.now).is_none()
        {
            let query = guestlist_store::Query::MembershipsOf {
                member,
                status: None,
            };
            let joined = self.list(&query, &guestlist_store::Page::default()).await?;
            for (key, _) in joined.rows {
                if let guestlist_membership::RowKey::Membership(host, _) = key {
                    let proxy = Actor::system().acting_in(host);
                    followed = self.follow(&proxy, organization).await?;
                }
            }
        }
",
        job: job(
            "guestlist",
            "facade",
            "a_proxy_user_goes_no_further_than_its_host",
        ),
    },
    Defect {
        name: "naming-a-host-makes-a-member-of-it",
        breaks: "P9: whoever says that they act in a host uses none of its memberships",
        file: "crates/guestlist-membership/src/standing.rs",
        text: "if actor.is_vouched_for() && actor.organization() == Some(org) {",
        replacement: "if actor.organization() == Some(org) {",
        job: job(
            "guestlist",
            "facade",
            "a_proxy_user_goes_no_further_than_its_host",
        ),
    },
    Defect {
        name: "proxy-may-manage",
        breaks: "P10: a proxy user changes and gives nothing, whatever it was granted",
        file: CHANGE,
        text: "Principal::Member(member) if !member.is_outsider() => Ok(()),",
        replacement: "Principal::Member(_) => Ok(()),",
        job: job("guestlist-access", "lib", "change::tests"),
    },
    Defect {
        name: "expired-grants-are-listed",
        breaks: "P11: what may be listed is what a decision allows, key by key",
        file: "crates/guestlist-access/src/index/ask.rs",
        text: "if index.entries.bits(place) & mask != 0 && index.is_live(place, now) {",
        replacement: "if index.entries.bits(place) & mask != 0 {",
        job: job(
            "guestlist-access",
            "lib",
            "index::tests::what_is_readable_is_told_alike_in_every_form",
        ),
    },
    Defect {
        name: "members-see-who-is-out",
        breaks: "P11: a list shows members who is in; who waits or is out is for reviewers",
        file: "crates/guestlist/src/members.rs",
        text: "let reading = if filter.status == Some(Status::Approved) {",
        replacement: "let reading = if filter.status != Some(Status::Pending) {",
        job: job("guestlist", "facade", "reads_are_authorized_like_commands"),
    },
    Defect {
        name: "audit-of-whom-the-filter-names",
        breaks: "P11: whoever reads an audit trail sees its own organization's, whatever it asks for",
        file: "crates/guestlist/src/lists.rs",
        text: "            organization: Some(organization.clone()),
            ..filter
",
        replacement: "            organization: filter
                .organization
                .clone()
                .or_else(|| Some(organization.clone())),
            ..filter
",
        job: job(
            "guestlist",
            "reads",
            "an_audit_trail_is_of_its_own_organization_whatever_is_asked_for",
        ),
    },
    Defect {
        name: "prefix-is-not-checked-as-a-key",
        breaks: "P12: no pattern outside the grammar comes into a grant",
        file: "crates/guestlist-access/src/pattern.rs",
        text: "                Key::parse(stem).map_err(PatternError::Key)?;
",
        replacement: "",
        job: job(
            "guestlist-access",
            "lib",
            "pattern::tests::shapes_are_refused_never_repaired",
        ),
    },
    Defect {
        name: "stored-pattern-taken-as-it-is",
        breaks: "P12: a stored pattern outside the grammar covers nothing, and never every key",
        file: "crates/guestlist-access/src/pattern.rs",
        text: "        match Self::parse(&text) {
            Ok(pattern) if pattern.kind() == kind => Ok(pattern),
            Ok(_) => Err(serde::de::Error::custom(PatternError::Kind)),
            Err(error) => Err(serde::de::Error::custom(error)),
        }
",
        replacement: "        let _ = kind;
        Ok(Self::of_text(&text))
",
        job: job(
            "guestlist-access",
            "lib",
            "pattern::tests::the_stored_form_is_pinned_and_names_its_kind",
        ),
    },
    Defect {
        name: "slash-behind-a-key-is-let-through",
        breaks: "P13: a key has one spelling, and none with an empty segment",
        file: KEY,
        text: "for segment in text.split('/') {",
        replacement: "for segment in text.strip_suffix('/').unwrap_or(text).split('/') {",
        job: job(
            "guestlist-types",
            "lib",
            "key::tests::keys_are_refused_never_repaired",
        ),
    },
    Defect {
        name: "length-of-a-key-in-characters",
        breaks: "P13: a key has at most so many bytes",
        file: KEY,
        text: "    if text.len() > MAX_KEY_BYTES {",
        replacement: "    if text.chars().count() > MAX_KEY_BYTES {",
        job: job("guestlist-types", "lib", "length_is_counted_in_bytes"),
    },
    Defect {
        name: "strict-key-has-a-backslash",
        breaks: "P13: a strict key has no backslash",
        file: KEY,
        text: "        if text.contains('\\\\') {
            return Err(KeyError::Backslash);
        }
",
        replacement: "",
        job: job(
            "guestlist-types",
            "lib",
            "a_strict_key_is_composed_and_has_no_backslash",
        ),
    },
    Defect {
        name: "strict-key-is-only-looked-at-quickly",
        breaks: "P13: a strict key is in composed form",
        file: KEY,
        text: "        if !is_nfc(text) {",
        replacement: "        if unicode_normalization::is_nfc_quick(text.chars())
            == unicode_normalization::IsNormalized::No
        {",
        job: job(
            "guestlist-types",
            "lib",
            "a_strict_key_is_composed_and_has_no_backslash",
        ),
    },
    Defect {
        name: "taking-out-needs-the-capability-alone",
        breaks: "P15: taking somebody out of a group needs what putting them in needs",
        file: CHANGE,
        text: "            case.give_group(*group, MemberKind::User)?;
            case.remove_member(",
        replacement: "            case.capability(Capability::GroupsManage)?;
            case.group(*group)?;
            case.remove_member(",
        job: job(
            "guestlist-access",
            "lib",
            "change::tests::a_group_is_a_gift_of_all_that_it_reaches",
        ),
    },
    Defect {
        name: "revoking-asks-nobody",
        breaks: "P15: a grant is taken back only by somebody who may share there",
        file: CHANGE,
        text: "            case.may_revoke(&found.pattern)?;
",
        replacement: "",
        job: job(
            "guestlist-access",
            "lib",
            "change::tests::revoking_needs_share_over_the_pattern_or_an_owner",
        ),
    },
    Defect {
        name: "an-edit-passes-the-longest-lifetime",
        breaks: "P16: what a new link must not be, no edit makes of one",
        file: LINK_DECIDE,
        text: "                return Err(CommandError::InThePast);
            }
            within_lifetime(&config, settings, env)?;
",
        replacement: "                return Err(CommandError::InThePast);
            }
",
        job: rules("a_cap_on_the_lifetime_of_links"),
    },
    Defect {
        name: "strangers-learn-what-exists",
        breaks: "P17: another organization's ids are like ids of nothing",
        file: "crates/guestlist-membership/src/standing.rs",
        text: "        } else if self.is_member {
            Err(CommandError::NotAllowed { capability })",
        replacement: "        } else if self.user.is_some() {
            Err(CommandError::NotAllowed { capability })",
        job: job(
            "guestlist-membership",
            "tenants",
            "ids_of_another_organization_are_like_ids_of_nothing",
        ),
    },
    Defect {
        name: "two-grants-make-one",
        breaks: "P18: whatever is allowed is allowed by one grant alone",
        file: ACCESS_DECIDE,
        text: "    let closure = closure_of(book, principal);
    gifts(book, principal, &closure)
        .find(|gift| gift.has(action) && gift.is_live(now) && gift.pattern.covers(key))",
        replacement: "    let closure = closure_of(book, principal);
    let may = gifts(book, principal, &closure).any(|gift| gift.has(action) && gift.is_live(now));
    gifts(book, principal, &closure)
        .find(|gift| may && gift.is_live(now) && gift.pattern.covers(key))",
        job: job(
            "guestlist-access",
            "lib",
            "decide::tests::every_witness_exists_and_would_do_alone",
        ),
    },
    Defect {
        name: "first-grant-on-the-key-is-cited",
        breaks: "P18: an allow cites a grant that gives the same answer alone",
        file: ACCESS_DECIDE,
        text: "    gifts(book, principal, &closure)
        .find(|gift| gift.has(action) && gift.is_live(now) && gift.pattern.covers(key))
        .map_or(",
        replacement: "    let covering: Vec<Gift<'_>> = gifts(book, principal, &closure)
        .filter(|gift| gift.is_live(now) && gift.pattern.covers(key))
        .collect();
    covering
        .iter()
        .any(|gift| gift.has(action))
        .then(|| covering[0])
        .map_or(",
        job: job(
            "guestlist-access",
            "lib",
            "what_is_cited_has_the_action_itself",
        ),
    },
    Defect {
        name: "former-name-is-free",
        breaks: "P19: a name that led to one organization never leads to another",
        file: "crates/guestlist-membership/src/organization/decide.rs",
        text: "        Some(_) => Err(CommandError::NameTaken),
        None => Ok(vec![",
        replacement: "        Some(record)
            if records
                .organization(&record.organization)
                .is_some_and(|owner| owner.name == *name) =>
        {
            Err(CommandError::NameTaken)
        }
        Some(_) | None => Ok(vec![",
        job: rules("a_name_is_never_given_away_again"),
    },
    Defect {
        name: "groups-in-a-ring",
        breaks: "P20: groups never contain each other in a ring",
        file: CHANGE,
        text: "        if closure.contains(inner) {
            return Err(AccessError::GroupCycle { outer, inner });
        }
",
        replacement: "",
        job: job(
            "guestlist-access",
            "lib",
            "change::tests::cycles_are_refused",
        ),
    },
    // What is stored, and events.
    Defect {
        name: "rows-committed-one-by-one",
        breaks: "D1: after a crash each commit is there whole or not at all",
        file: "crates/guestlist-sqlite/src/apply.rs",
        text: "        execute(connection, call.sql, &call.values)?;
    }
    for [event, reply]",
        replacement: r#"        execute(connection, call.sql, &call.values)?;
        execute(connection, "commit", &[])?;
        execute(connection, "begin immediate", &[])?;
    }
    for [event, reply]"#,
        job: job(
            "guestlist-sqlite",
            "crash",
            "a_torn_log_leaves_whole_commits",
        ),
    },
    Defect {
        name: "acknowledged-though-the-commit-failed",
        breaks: "D2: what is acknowledged is stored",
        file: "crates/guestlist-sqlite/src/writer.rs",
        text: "transaction.commit().map_err(Undone::Committing)?;",
        replacement: "let _ = transaction.commit();",
        job: job(
            "guestlist-sqlite",
            "faults",
            "a_commit_statement_that_fails_is_an_error_for_everybody",
        ),
    },
    Defect {
        name: "acknowledged-before-it-is-on-the-disk",
        breaks: "D2: what was acknowledged is there after the server was killed",
        file: "crates/guestlist-postgres/src/flush.rs",
        text: "set plan_cache_mode = force_generic_plan; set jit = off",
        replacement: "set plan_cache_mode = force_generic_plan; set jit = off; \
            set synchronous_commit = off",
        job: job(
            "guestlist-postgres",
            "crash",
            "acknowledged_commits_survive_a_kill",
        ),
    },
    Defect {
        name: "writer-not-synced",
        breaks: "D2: what was acknowledged is on the disk, and not in a cache of the system alone",
        file: "crates/guestlist-sqlite/src/store.rs",
        text: "pragma synchronous = full;",
        replacement: "pragma synchronous = normal;",
        job: job(
            "guestlist-sqlite",
            "lib",
            "store::tests::what_is_written_is_on_the_disk_before_it_is_answered",
        ),
    },
    Defect {
        name: "fold-counts-what-only-the-store-knows",
        breaks: "D3: the log folded gives what is stored, also how many uses a link has had",
        file: "crates/guestlist-membership/src/link/evolve.rs",
        text: "Some(uses) => records.put(key, Row::Tally(*uses)),",
        replacement: "Some(_) => {
                    let uses = records.use_count(host, *link).unwrap_or_default();
                    records.put(key, Row::Tally(uses));
                }",
        job: job(
            "guestlist-store",
            "conformance",
            "memory::counting_ends_and_begins_again",
        ),
    },
    Defect {
        name: "events-in-their-own-transaction",
        breaks: "D4: a change and its events are stored together or not at all",
        file: "crates/guestlist-sqlite/src/apply.rs",
        text: "    for (ordinal, event) in (0_u32..).zip(&plan.events) {",
        replacement: r#"    execute(connection, "commit", &[])?;
    execute(connection, "begin immediate", &[])?;
    for (ordinal, event) in (0_u32..).zip(&plan.events) {"#,
        job: job(
            "guestlist-sqlite",
            "faults",
            "an_error_at_any_statement_leaves_nothing",
        ),
    },
    Defect {
        name: "cursor-passes-an-open-transaction",
        breaks: "D5: whoever reads the log while commits overlap misses none of them",
        file: "crates/guestlist-postgres/src/events.rs",
        text: r#"let horizon = "(select horizon from seen)";"#,
        replacement: r#"let horizon = "(select 9223372036854775807 from seen)";"#,
        job: job(
            "guestlist-postgres",
            "conformance",
            "the_log_is_read_while_it_grows",
        ),
    },
    Defect {
        name: "acknowledged-before-it-is-read",
        breaks: "D5: what a consumer did not acknowledge comes again",
        file: "crates/guestlist/src/feed.rs",
        text: "let from = self.kept().await?.acknowledged();
        self.behind(from, limit).await",
        replacement: "let from = self.kept().await?.acknowledged();
        let batch = self.behind(from, limit).await?;
        self.acknowledge(batch.end).await?;
        Ok(batch)",
        job: job(
            "guestlist",
            "history",
            "a_consumer_goes_on_where_it_acknowledged",
        ),
    },
    Defect {
        name: "run-out-is-not-cancelled-on-sqlite",
        breaks: "D7: every store gives the same list of the same rows",
        file: "crates/guestlist-sqlite/src/list.rs",
        text: "(?5 is null or status = ?5 or (?5 = 'cancelled' and expires_at is not null))",
        replacement: "(?5 is null or status = ?5)",
        job: job(
            "guestlist-sqlite",
            "store",
            "lists_are_those_of_the_reference",
        ),
    },
    Defect {
        name: "resends-without-end",
        breaks: "D8, R7: a commit whose outcome stays unknown is sent again a few times, and then told",
        file: FACADE,
        text: "error.is_unknown() && resends < MAX_RESENDS && !self.borrowed",
        replacement: "error.is_unknown() && !self.borrowed",
        job: job(
            "guestlist",
            "facade",
            "what_can_not_be_mended_is_told_apart",
        ),
    },
    Defect {
        name: "busy-is-no-reason-to-try-again",
        breaks: "D8: a locked file is an error that says that another try may work",
        file: "crates/guestlist-sqlite/src/error.rs",
        text: "ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked",
        replacement: "ErrorCode::DatabaseLocked",
        job: job(
            "guestlist-sqlite",
            "store",
            "a_file_that_stays_locked_is_worth_another_try",
        ),
    },
    Defect {
        name: "events-sent-after-their-rows",
        breaks: "D9: a call that is dropped anywhere has done all or nothing",
        file: "crates/guestlist-sqlite/src/store.rs",
        text: "        let outcomes = self.inner.writer.apply(Plan::all(commits)?).await?;",
        replacement: "        let mut silent = commits.to_vec();
        for commit in &mut silent {
            commit.events.clear();
        }
        let outcomes = self.inner.writer.apply(Plan::all(&silent)?).await?;
        let mut told = Vec::new();
        for (outcome, commit) in outcomes.iter().zip(commits) {
            if matches!(outcome, crate::plan::Outcome::Applied) {
                let mut commit = commit.clone();
                commit.checks.clear();
                commit.writes.clear();
                commit.receipt = None;
                told.push(commit);
            }
        }
        if !told.is_empty() {
            self.inner.writer.apply(Plan::all(&told)?).await?;
        }",
        job: job(
            "guestlist-sqlite",
            "store",
            "everything_that_was_sent_is_there_after_the_last_clone_is_gone",
        ),
    },
    Defect {
        name: "log-in-a-commit-of-its-own",
        breaks: "D9: whoever goes away leaves a change with its events, or neither",
        file: "crates/guestlist-store/src/kv_store.rs",
        text: "        match self.kv.commit(&checks, &ops).await? {
",
        replacement:
            "        let logged = ops.split_off(ops.len() - usize::from(!commit.events.is_empty()));
        let done = self.kv.commit(&checks, &ops).await?;
        if done == KvCommitted::Applied && !logged.is_empty() {
            let _ = self.kv.commit(&[], &logged).await?;
        }
        match done {
",
        job: job(
            "guestlist",
            "interrupts",
            "a_caller_that_goes_away_leaves_everything_or_nothing",
        ),
    },
    Defect {
        name: "name-reserved-under-the-key-of-its-command",
        breaks: "D9, M15: a command of two commits can be called again with its key, wherever it was dropped",
        file: "crates/guestlist/src/organizations.rs",
        text: "self.without_key().execute(ask, |_| Ok(())).await",
        replacement: "self.part(0).execute(ask, |_| Ok(())).await",
        job: job(
            "guestlist",
            "interrupts",
            "a_caller_that_goes_away_leaves_everything_or_nothing",
        ),
    },
    Defect {
        name: "lease-without-end",
        breaks: "D9: what a caller that went away has taken for a while is free again after it",
        file: "crates/guestlist/src/feed.rs",
        text: "            .is_some_and(|until| until.is_after(now));",
        replacement: "            .is_some();",
        job: job(
            "guestlist",
            "interrupts",
            "a_caller_that_goes_away_leaves_everything_or_nothing",
        ),
    },
    Defect {
        name: "member-of-itself-in-the-schema",
        breaks: "D10: the tables alone refuse an organization that is a member of itself",
        file: "crates/guestlist-sqlite/migrations/0001.sql",
        text: "    unique (bucket, host, proxy_name),
    check (not (member_kind = 'org' and member_id = host)),
",
        replacement: "    unique (bucket, host, proxy_name),
",
        job: job("guestlist-sqlite", "schema", "bad_rows_are_refused"),
    },
    Defect {
        name: "old-name-of-a-field-forgotten",
        breaks: "D11: rows of an earlier layout say what they said, so decisions stay the same",
        file: "crates/guestlist-membership/src/invite/state.rs",
        text: r#"#[serde(alias = "member", deserialize_with = "one_or_many")]"#,
        replacement: r#"#[serde(deserialize_with = "one_or_many")]"#,
        job: job(
            "guestlist-sqlite",
            "migrations",
            "what_the_first_version_wrote_goes_on",
        ),
    },
    Defect {
        name: "steps-are-numbered-from-the-first-again",
        breaks: "D11: a database that an earlier version left takes the steps that it lacks",
        file: "crates/guestlist-postgres/src/schema.rs",
        text: "in (1_i64..).zip(MIGRATIONS).skip(taken) {",
        replacement: "in (1_i64..).zip(MIGRATIONS.iter().skip(taken)) {",
        job: job(
            "guestlist-postgres",
            "migrations",
            "what_earlier_versions_wrote_goes_on",
        ),
    },
    Defect {
        name: "tables-that-are-there-are-up-to-date",
        breaks: "D11: a database that an earlier version left is told from one of this version",
        file: "crates/guestlist-postgres/src/schema.rs",
        text: "        return Ok(MIGRATIONS.len() - taken);",
        replacement: "        return Ok(if taken == 0 { MIGRATIONS.len() } else { 0 });",
        job: job(
            "guestlist-postgres",
            "migrations",
            "what_earlier_versions_wrote_goes_on",
        ),
    },
    Defect {
        name: "a-step-refuses-what-was-written-before-it",
        breaks: "D11: a step of the schema can be taken with events that lack what it adds",
        file: "crates/guestlist-postgres/migrations/0002.sql",
        text: "add column access_revision bigint;",
        replacement: "add column access_revision bigint,
    add check (name <> 'grant-made' or access_revision is not null);",
        job: job(
            "guestlist-postgres",
            "migrations",
            "what_earlier_versions_wrote_goes_on",
        ),
    },
    Defect {
        name: "a-step-rewrites-addresses-of-nobody",
        breaks: "D11: what an earlier version knew of an address is known after each step",
        file: "crates/guestlist-postgres/migrations/0003.sql",
        text: "-- How many places were given, and up to which the log is shown.
",
        replacement: "update @guestlist_addresses
    set body = json_build_object('invite', invite, 'members', json_build_array(member));

-- How many places were given, and up to which the log is shown.
",
        job: job(
            "guestlist-postgres",
            "migrations",
            "what_earlier_versions_wrote_goes_on",
        ),
    },
    Defect {
        name: "a-step-says-that-all-began-with-it",
        breaks: "D11: access rules that were changed before a step are not taken for unchanged",
        file: "crates/guestlist-store/src/changes.rs",
        text: "(self.is_whole && self.reached == self.until).then_some",
        replacement: "self.is_whole.then_some",
        job: job(
            "guestlist-postgres",
            "migrations",
            "what_earlier_versions_wrote_goes_on",
        ),
    },
    Defect {
        name: "chain-without-what-was-before",
        breaks: "D13: a change or a gap in the middle of the log breaks the hash chain",
        file: "crates/guestlist/src/chain.rs",
        text: "&[head, &public, &personal]",
        replacement: "&[&public, &personal]",
        job: job(
            "guestlist",
            "history",
            "a_change_in_the_middle_of_the_log_is_found_out",
        ),
    },
    // Bad input and bounds.
    Defect {
        name: "prefix-cut-at-a-byte",
        breaks: "R1: nothing that comes in makes anything panic",
        file: "crates/guestlist-token/src/token.rs",
        text: "text.starts_with(kind.prefix())",
        replacement: "&text[..PREFIX_BYTES] == kind.prefix()",
        job: job(
            "guestlist-token",
            "lib",
            "token::tests::any_other_byte_anywhere_is_refused",
        ),
    },
    Defect {
        name: "trimmed-before-it-is-measured",
        breaks: "R2: what is too long is refused before it is read",
        file: "crates/guestlist-types/src/email.rs",
        text: "        if text.len() > MAX_TEXT_BYTES {
            return Err(EmailError::TooLong);
        }
        let text = text.trim();
",
        replacement: "        let text = text.trim();
        if text.len() > MAX_TEXT_BYTES {
            return Err(EmailError::TooLong);
        }
",
        job: job(
            "guestlist-types",
            "lib",
            "email::tests::bounds_are_those_that_are_told",
        ),
    },
    Defect {
        name: "slash-of-an-address-is-looked-for-without-end",
        breaks: "R2: what is longer than any address is refused unread",
        file: "crates/guestlist-types/src/address.rs",
        text: "        if text.len() > MAX_BYTES {
            return Err(AddressError::Key(KeyError::TooLong));
        }
",
        replacement: "",
        job: job(
            "guestlist-types",
            "lib",
            "what_is_longer_than_any_address_is_not_read",
        ),
    },
    Defect {
        name: "room-is-doubled",
        breaks: "R3: what is allocated keeps to what is kept, an eighth more at most",
        file: "crates/guestlist-access/src/index/blocks.rs",
        text: "vector.reserve_exact((vector.len() / 8).max(16));",
        replacement: "vector.reserve((vector.len() / 8).max(16));",
        job: job(
            "guestlist-access",
            "lib",
            "index::blocks::tests::vectors_grow_by_an_eighth",
        ),
    },
    Defect {
        name: "text-is-copied-before-it-is-checked",
        breaks: "R3: a text that is far too long is refused without a copy",
        file: "crates/guestlist-types/src/text.rs",
        text: "                $check(text)?;
                Ok(Self(text.into()))",
        replacement: "                let text: Box<str> = text.into();
                $check(&text)?;
                Ok(Self(text))",
        job: job("guestlist-types", "allocations", "far_too_long"),
    },
    Defect {
        name: "email-is-lower-cased-before-it-is-measured",
        breaks: "R3, R2: an address that is far too long is refused unread",
        file: "crates/guestlist-types/src/email.rs",
        text: "        if text.len() > MAX_TEXT_BYTES {
            return Err(EmailError::TooLong);
        }
        let text = text.trim();
        if text.is_empty() {",
        replacement: "        let text = text.trim().to_lowercase();
        let text = text.as_str();
        if text.len() > MAX_TEXT_BYTES {
            return Err(EmailError::TooLong);
        }
        if text.is_empty() {",
        job: job("guestlist-types", "allocations", "far_too_long"),
    },
    Defect {
        name: "token-is-copied-before-it-is-measured",
        breaks: "R3: a token that is far too long is refused without a copy",
        file: "crates/guestlist-token/src/token.rs",
        text: "        if text.len() != TOKEN_BYTES {
            return Err(TokenError::Length);
        }
",
        replacement: "        let copy = Zeroizing::new(text.to_owned());
        let text = copy.as_str();
        if text.len() != TOKEN_BYTES {
            return Err(TokenError::Length);
        }
",
        job: job("guestlist-token", "allocations", "far_too_long"),
    },
    Defect {
        name: "join-url-is-split-before-it-is-measured",
        breaks: "R3, R2: a join url that is far too long is refused unread",
        file: "crates/guestlist-token/src/url.rs",
        text: "    if text.len() > MAX_URL_BYTES {
        return Err(TokenError::Length);
    }
    if !text.contains(SEPARATORS) {",
        replacement: "    let all: Vec<&str> = text.split(SEPARATORS).collect();
    if text.len() > MAX_URL_BYTES {
        return Err(TokenError::Length);
    }
    if all.len() == 1 {",
        job: job("guestlist-token", "allocations", "far_too_long"),
    },
    Defect {
        name: "pattern-is-copied-before-it-is-checked",
        breaks: "R3: a pattern that is far too long is refused without a copy",
        file: "crates/guestlist-access/src/pattern.rs",
        text: "        match text.strip_suffix('/') {
            // \"/\" has nothing",
        replacement: "        let copy = text.to_owned();
        let text = copy.as_str();
        match text.strip_suffix('/') {
            // \"/\" has nothing",
        job: job("guestlist-access", "allocations", "far_too_long"),
    },
    Defect {
        name: "metadata-is-read-before-it-is-measured",
        breaks: "R3, R2: metadata that is far too large is refused unread",
        file: "crates/guestlist-membership/src/metadata.rs",
        text: "        if text.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge);
        }
        let object:",
        replacement: "        let object:",
        job: job("guestlist-membership", "allocations", "far_too_large"),
    },
    Defect {
        name: "ids-of-no-randomness",
        breaks: "R4: without randomness there is a typed error, and nothing is written",
        file: "crates/guestlist-types/src/id.rs",
        text: "    rng.try_fill_bytes(&mut bytes[6..])?;",
        replacement: "    let _ = rng.try_fill_bytes(&mut bytes[6..]);",
        job: job(
            "guestlist",
            "entropy",
            "a_generator_that_fails_at_any_call_leaves_nothing",
        ),
    },
    Defect {
        name: "stuck-generator-makes-tokens",
        breaks: "R4: a generator that is stuck makes no token, and nothing is written",
        file: "crates/guestlist-token/src/token.rs",
        text: "            return if repeats(digits) {
                Err(GenerateError::Stuck)
            } else {
                Ok(())
            };",
        replacement: "            return Ok(());",
        job: job(
            "guestlist",
            "entropy",
            "no_token_is_made_of_what_no_generator_gives",
        ),
    },
    Defect {
        name: "page-of-any-size",
        breaks: "R7: a page has at most a thousand rows",
        file: "crates/guestlist-store/src/query.rs",
        text: "if limit == 0 || limit > 1000 {",
        replacement: "if limit == 0 {",
        job: job(
            "guestlist",
            "gitbook",
            "over_memory::a_page_has_at_most_a_thousand",
        ),
    },
    Defect {
        name: "link-gives-any-number-of-groups",
        breaks: "R7: what a link gives has at most so many groups",
        file: LINK_DECIDE,
        text: "    at_most(\"groups in a preset\", gift.groups.len(), MAX_GIFTS)?;\n",
        replacement: "",
        job: rules("there_is_a_limit_to_what_a_link_gives_and_to_whom"),
    },
    Defect {
        name: "link-gives-any-number-of-grants",
        breaks: "R7: what a link gives has at most so many grants",
        file: LINK_DECIDE,
        text: "    at_most(\"grants in a preset\", gift.grants.len(), MAX_GIFTS)\n",
        replacement: "    Ok(())\n",
        job: rules("there_is_a_limit_to_what_a_link_gives_and_to_whom"),
    },
    Defect {
        name: "link-is-for-any-number-of-domains",
        breaks: "R7: a link is for at most so many domains",
        file: LINK_DECIDE,
        text: "    at_most(\"allowed domains\", config.allowed_domains.len(), MAX_ALLOWED)?;\n",
        replacement: "",
        job: rules("there_is_a_limit_to_what_a_link_gives_and_to_whom"),
    },
    Defect {
        name: "link-is-for-any-number-of-members",
        breaks: "R7: a link is for at most so many members",
        file: LINK_DECIDE,
        text: "    at_most(\"allowed members\", config.allowed_members.len(), MAX_ALLOWED)?;\n",
        replacement: "",
        job: rules("there_is_a_limit_to_what_a_link_gives_and_to_whom"),
    },
    Defect {
        name: "bound-of-gifts-is-refused",
        breaks: "R7: exactly as much as is allowed is allowed",
        file: LINK_DECIDE,
        text: "    if count > max {",
        replacement: "    if count >= max {",
        job: rules("there_is_a_limit_to_what_a_link_gives_and_to_whom"),
    },
    Defect {
        name: "invite-gives-any-number-of-grants",
        breaks: "R7: what an e-mail invite gives is bounded like what a link gives",
        file: "crates/guestlist-membership/src/invite/decide.rs",
        text: "    check_preset(&config.preset, config.joined_by, config.membership_ttl, env)?;\n",
        replacement: "    if config.preset.grants.is_empty() {
        check_preset(&config.preset, config.joined_by, config.membership_ttl, env)?;
    }\n",
        job: job(
            "guestlist-membership",
            "invites",
            "what_an_invite_must_not_be",
        ),
    },
    Defect {
        name: "add-gives-any-number",
        breaks: "R7: what is added to a member is bounded like what a link gives",
        file: MEMBER_DECIDE,
        text: "        check_size(self.gift)?;\n",
        replacement: "",
        job: rules("there_is_a_limit_to_what_is_given_by_hand"),
    },
    Defect {
        name: "approval-gives-any-number",
        breaks: "R7: a reviewer's own gift is bounded like what a link gives",
        file: MEMBER_DECIDE,
        text: "        check_size(own)?;\n",
        replacement: "",
        job: rules("there_is_a_limit_to_what_is_given_by_hand"),
    },
    Defect {
        name: "callers-are-remembered-without-end",
        breaks: "R7, R3: a rate limit remembers at most so many callers",
        file: RATE,
        text: "            make_room(&mut until_by_name, room - MAX_COUNTED / 8);
",
        replacement: "",
        job: job(
            "guestlist",
            "lib",
            "a_crowd_fills_no_memory_and_lets_nobody_in_again",
        ),
    },
    Defect {
        name: "address-is-remembered-beyond-the-bound",
        breaks: "R7: a rate limit remembers at most so many callers, each with an address",
        file: RATE,
        text: "MAX_COUNTED - taken.len();",
        replacement: "MAX_COUNTED - 1;",
        job: job(
            "guestlist",
            "lib",
            "a_crowd_fills_no_memory_and_lets_nobody_in_again",
        ),
    },
    Defect {
        name: "crowd-lets-in-who-is-out-of-quota",
        breaks: "R7: who is out of quota is not among the first that are forgotten",
        file: RATE,
        text: "            make_room(&mut until_by_name, room - MAX_COUNTED / 8);\n",
        replacement: "            while until_by_name.len() > room {
                until_by_name.pop_first();
            }\n",
        job: job(
            "guestlist",
            "lib",
            "a_crowd_fills_no_memory_and_lets_nobody_in_again",
        ),
    },
];
