//! What clients may ask: their limits, by many keys and by one.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;

use crate::base::Clock;
use crate::base::Moment;
use crate::live::quota::Asker;
use crate::live::quota::Charge;
use crate::live::quota::LiveQuota;
use crate::live::quota::admit;
use crate::meter::Numbers;
use crate::meter::now;
use crate::meter::shared;
use crate::policy::gcra::Quota;
use crate::policy::gcra::Rate;
use crate::policy::quota::Costs;
use crate::policy::quota::KeyPart;
use crate::policy::quota::LimitSettings;
use crate::policy::quota::Refusal;
use crate::policy::quota::Rule;
use crate::policy::quota::Show;
use crate::policy::quota::Style;

const CLIENTS: usize = 10_000;

pub(crate) fn all(criterion: &mut Criterion) {
    let many = quota(1_000_000, 1_000_000);
    let addresses: Vec<_> = (0..CLIENTS).map(|n| u32::try_from(n).unwrap_or(0)).collect();
    shared(criterion, "quota: 10,000 clients", Numbers::begin, |numbers| {
        asks(&many, addresses.get(numbers.below(CLIENTS)).copied().unwrap_or(0))
    });

    // One comes back each nanosecond, and the burst is seconds of that: it never falls short.
    let (hot, clock) = (quota(1_000_000_000, u32::MAX), Clock::start());
    shared(
        criterion,
        "quota: one client",
        |_| (),
        |()| {
            let (standings, receipt) = admit(&[charge(&hot, 1)], clock.now());
            assert!(receipt.is_some());
            standings
        },
    );

    let spent = quota(1, 1);
    assert!(asks(&spent, 1), "one there is");
    shared(criterion, "quota: refused", |_| (), |()| asks(&spent, 1));
}

fn asks(quota: &Arc<LiveQuota>, client: u32) -> bool {
    admit(&[charge(quota, client)], now()).1.is_some()
}

/// The key is made anew each time, as it is for each request.
fn charge(quota: &Arc<LiveQuota>, client: u32) -> Charge<'_> {
    let address = IpAddr::V4(Ipv4Addr::from_bits(client));
    let asker = Asker { tenant: None, api_key: None, address, route: "/aggregate", headers: None };
    Charge { quota, key: quota.key_of(&asker), cost: 1 }
}

fn quota(per_second: u32, burst: u32) -> Arc<LiveQuota> {
    let count = |count| NonZeroU32::new(count).unwrap();
    let rate = Rate { count: count(per_second), per: Duration::from_secs(1) };
    let set = LimitSettings {
        name: "clients".into(),
        key: vec![KeyPart::Ip],
        rule: Rule { quota: Some(Quota::new(rate, count(burst))), max_in_flight: None },
        window_s: 1,
        max_keys: 100_000,
        show: Show::Always,
        style: Style::Ietf,
        routes: Vec::new(),
        costs: Costs::flat(NonZeroU32::MIN),
        refusal: Refusal { status: 429, message: None, retry_after: Duration::ZERO },
    };
    Arc::new(LiveQuota::carried(&Arc::new(set), None, Moment::ZERO))
}
