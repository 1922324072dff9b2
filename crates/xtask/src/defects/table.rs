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
const FACADE: &str = "crates/guestlist/src/facade.rs";

pub(crate) const DEFECTS: &[Defect] = &[
    // Tokens and links.
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
        name: "selector-issued-twice",
        breaks: "T1: no selector is ever issued twice",
        file: LINK_DECIDE,
        text: "Some(_) => Err(CommandError::SelectorTaken),",
        replacement: "Some(_) => Ok(()),",
        job: rules("no_selector_is_issued_twice"),
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
    // Memberships.
    Defect {
        name: "proxy-outlives-the-membership",
        breaks: "M4: a proxy user is active exactly while its membership is approved",
        file: "crates/guestlist-membership/src/member/state.rs",
        text: "(self.phase(now) == Phase::Approved).then(|| MemberPrincipal {",
        replacement: "(self.phase(now) != Phase::Never).then(|| MemberPrincipal {",
        job: rules("the_way_to_another_organization_is_through_the_proxy_user"),
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
        name: "proxy-has-a-role",
        breaks: "M9, P10: a proxy user has no role, so it manages nothing",
        file: MEMBER_DECIDE,
        text: "(MemberKind::Org, _) => Ok(None),",
        replacement: "(MemberKind::Org, role) => Ok(role.clone()),",
        job: rules("the_fixed_ceiling_of_proxy_users"),
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
        name: "seats-ignore-pending",
        breaks: "M18: where pending requests count, they take a seat",
        file: MEMBER_DECIDE,
        text: "(_, false) => seats.count_pending,",
        replacement: "(_, false) => false,",
        job: rules("seats_are_limited"),
    },
    Defect {
        name: "last-owner-leaves",
        breaks: "M9: an organization always has an owner",
        file: MEMBER_DECIDE,
        text: "Err(CommandError::LastOwner)",
        replacement: "Ok(None)",
        job: rules("the_last_owner_stays"),
    },
    // Access.
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
        name: "proxy-may-manage",
        breaks: "P10: a proxy user changes and gives nothing, whatever it was granted",
        file: CHANGE,
        text: "Principal::Member(member) if !member.is_outsider() => Ok(()),",
        replacement: "Principal::Member(_) => Ok(()),",
        job: job("guestlist-access", "lib", "change::tests"),
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
    // Stores and events.
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
    // Access rules in memory.
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
];
