//! Limits of clients: which hold for a request, whether it fits, and what its answer says of them.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;
use smallvec::SmallVec;

use crate::base::Name;
use crate::base::Pretty;
use crate::live::Snapshot;
use crate::live::quota;
use crate::live::quota::Asker;
use crate::live::quota::Charge;
use crate::live::quota::Receipt;
use crate::plan::DoorPlan;
use crate::policy::keys::ApiKey;
use crate::policy::quota::LimitSettings;
use crate::policy::quota::Short;
use crate::policy::quota::Standing;
use crate::policy::quota::Told;
use crate::policy::quota::tell;
use crate::record::Event;
use crate::request::context::Ask;
use crate::request::context::Shared;
use crate::request::error::Problem;
use crate::request::front::address;
use crate::request::front::refusals;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// Headers of an answer.
pub(crate) type Headers = Vec<(HeaderName, HeaderValue)>;

/// Takes from every limit of a route what its request costs, or says which are used up. The headers are of the answer,
/// whatever it will be.
pub(crate) fn take(
    shared: &Shared,
    snapshot: &Snapshot,
    ask: &Ask<'_>,
    door: &DoorPlan,
    key: Option<&ApiKey>,
    peer: IpAddr,
) -> Result<(Headers, Receipt), Problem> {
    let trusted = &snapshot.plan.server.trusted_proxies;
    let asker = Asker {
        tenant: key.map(|key| &*key.tenant),
        api_key: key.map(|key| key.name.as_str()),
        address: address::client(peer, trusted, ask.headers),
        route: &door.route,
        // Where proxies are named, what anybody else writes of himself is nothing.
        headers: (trusted.is_empty() || address::is_trusted(peer, trusted)).then_some(ask.headers),
    };
    let mut charges: SmallVec<[Charge<'_>; 4]> = SmallVec::new();
    for charge in &door.limits {
        if let Some(quota) = snapshot.quotas.get(charge.limit) {
            charges.push(Charge { quota, key: quota.key_of(&asker), cost: charge.cost.get() });
        }
    }
    let (standings, receipt) = quota::admit(&charges, shared.clock.now());
    explain(shared, ask, &charges, &standings);
    let sets = charges.iter().map(|charge| &*charge.quota.set);
    let told = tell(sets.clone().zip(standings.iter().copied()));
    match receipt {
        Some(receipt) => Ok((headers(&told), receipt)),
        None => {
            tracing::debug!(request_id = &*ask.request_id, route = &*door.route, limits = ?told.violated, "rate limited");
            publish(shared, sets.clone().zip(standings.iter()));
            let problem = refused(&told, sets.zip(standings.iter()));
            Err(headers(&told).into_iter().fold(problem, |problem, (name, value)| problem.header(name, value)))
        }
    }
}

/// Notes what each limit says of this request.
fn explain(shared: &Shared, ask: &Ask<'_>, charges: &[Charge<'_>], standings: &[Standing]) {
    if !ask.trail.is_on() {
        return;
    }
    let Some(request) = Name::parse("request") else { return };
    for (Charge { quota, cost, .. }, standing) in charges.iter().zip(standings) {
        ask.trail.note(&shared.clock, &request, || {
            let name = &quota.set.name;
            match standing.short {
                Some(Short::Rate(wait)) => format!("limit `{name}`: {cost} wanted, there in {}", Pretty(wait)),
                Some(Short::InFlight) => format!("limit `{name}`: too many at the same time"),
                None => format!("limit `{name}`: takes {cost}"),
            }
        });
    }
}

fn publish<'a>(shared: &Shared, limits: impl Iterator<Item = (&'a LimitSettings, &'a Standing)>) {
    for (set, standing) in limits {
        let Some(short) = standing.short else { continue };
        shared.events.publish(Event::RateLimitExceeded { limiter: &set.name, wait: wait_of(short) });
    }
}

/// How long until it is worth asking again.
fn wait_of(short: Short) -> Duration {
    match short {
        Short::Rate(wait) => wait,
        // When one of them will end nobody knows.
        Short::InFlight => Duration::from_secs(1),
    }
}

/// The refusal: in the words of the first limit that is used up, and not before all of them would let it in.
fn refused<'a>(told: &Told, limits: impl Iterator<Item = (&'a LimitSettings, &'a Standing)>) -> Problem {
    let short = limits.filter_map(|(set, standing)| standing.short.map(|short| (set, short)));
    let mut first = None;
    let mut wait = Duration::ZERO;
    for (set, short) in short {
        wait = wait.max(wait_of(short)).max(set.refusal.retry_after);
        first = first.or(Some((&set.refusal, short)));
    }
    match first {
        Some((refusal, short)) => refusals::over_limit(refusal, short, &told.violated).retry_after(wait),
        None => Problem::internal(),
    }
}

fn headers(told: &Told) -> Headers {
    let mut headers = Headers::new();
    for (name, text) in [(RATELIMIT_POLICY, &told.policies), (RATELIMIT, &told.left)] {
        if let (false, Ok(value)) = (text.is_empty(), HeaderValue::from_str(text)) {
            headers.push((name, value));
        }
    }
    if let Some(legacy) = told.legacy {
        let values = [legacy.limit.into(), legacy.remaining.into(), legacy.reset_s];
        headers.extend(LEGACY.into_iter().zip(values.map(HeaderValue::from)));
    }
    headers
}

/// Notes which limits hold for a route, for who reads how an answer came about without being a client.
pub(crate) fn note(shared: &Shared, snapshot: &Snapshot, ask: &Ask<'_>, door: &DoorPlan) {
    let Some(request) = Name::parse("request").filter(|_| ask.trail.is_on()) else { return };
    for charge in &door.limits {
        let Some(quota) = snapshot.quotas.get(charge.limit) else { continue };
        ask.trail.note(&shared.clock, &request, || {
            format!("limit `{}` would take {} of a client; this is none", quota.set.name, charge.cost)
        });
    }
}
