//! The codes of findings: one per kind of mistake, never given to another one.

/// No configuration where one was looked for, or it cannot be read.
pub(crate) const NOT_FOUND: &str = "AG-001";
/// A file cannot be read, or is not UTF-8.
pub(crate) const UNREADABLE: &str = "AG-002";
/// A file is too large, too deep, or grows too far by aliases.
pub(crate) const TOO_LARGE: &str = "AG-003";
/// Not YAML.
pub(crate) const SYNTAX: &str = "AG-004";
/// A key twice in one map.
pub(crate) const DUPLICATE_KEY: &str = "AG-005";
/// YAML that this language does not use: merge keys, tags, keys that are no text.
pub(crate) const YAML_FEATURE: &str = "AG-006";
/// `${VAR}` that is not set, `${file:…}` that cannot be read.
pub(crate) const NOT_SET: &str = "AG-007";
/// `${` that is not closed or names nothing.
pub(crate) const BAD_EXPANSION: &str = "AG-008";
/// A document that is neither a source nor a route nor a test.
pub(crate) const DOCUMENT_KIND: &str = "AG-009";
/// A key that does not exist.
pub(crate) const UNKNOWN_KEY: &str = "AG-010";
/// A key that exists elsewhere.
pub(crate) const MISPLACED_KEY: &str = "AG-011";
/// A key of a later version.
pub(crate) const NOT_AVAILABLE: &str = "AG-012";
/// A map where a list should be, and the like.
pub(crate) const WRONG_TYPE: &str = "AG-013";
/// A key without a value.
pub(crate) const NO_VALUE: &str = "AG-014";
/// A key that must be there.
pub(crate) const MISSING_KEY: &str = "AG-015";
/// Keys of which only one may be there.
pub(crate) const EXCLUSIVE_KEYS: &str = "AG-016";
/// Not a duration.
pub(crate) const BAD_DURATION: &str = "AG-017";
/// Not a size.
pub(crate) const BAD_SIZE: &str = "AG-018";
/// Not a ratio.
pub(crate) const BAD_RATIO: &str = "AG-019";
/// Not a number, or out of range.
pub(crate) const BAD_NUMBER: &str = "AG-020";
/// Neither `true` nor `false`.
pub(crate) const BAD_SWITCH: &str = "AG-021";
/// Not one of the words allowed.
pub(crate) const BAD_WORD: &str = "AG-022";
/// Not a name.
pub(crate) const BAD_NAME: &str = "AG-023";
/// Not an address to listen on.
pub(crate) const BAD_LISTEN: &str = "AG-024";
/// Not a database URL.
pub(crate) const BAD_DATABASE: &str = "AG-025";
/// Not a network.
pub(crate) const BAD_NETWORK: &str = "AG-026";
/// Not a header name or value that may be set.
pub(crate) const BAD_HEADER: &str = "AG-027";
/// Not a proxy URL.
pub(crate) const BAD_PROXY: &str = "AG-028";
/// Not a log level.
pub(crate) const BAD_LEVEL: &str = "AG-029";
/// Not an outcome selector.
pub(crate) const BAD_SELECTOR: &str = "AG-030";
/// Not a regular expression.
pub(crate) const BAD_PATTERN: &str = "AG-031";
/// Not a JSONPath.
pub(crate) const BAD_JSONPATH: &str = "AG-032";
/// A projection that does not say what to take.
pub(crate) const BAD_PROJECTION: &str = "AG-033";
/// A number that JSON does not have.
pub(crate) const NOT_JSON: &str = "AG-034";
/// Not a PEM file.
pub(crate) const BAD_PEM: &str = "AG-035";
/// Not an absolute http(s) URL.
pub(crate) const BAD_URL: &str = "AG-036";
/// A user or password in a URL.
pub(crate) const URL_CREDENTIALS: &str = "AG-037";
/// A placeholder in scheme, host or port.
pub(crate) const PLACEHOLDER_IN_ORIGIN: &str = "AG-038";
/// Braces that make no placeholder.
pub(crate) const BAD_PLACEHOLDER: &str = "AG-039";
/// A placeholder that names nothing.
pub(crate) const UNKNOWN_PLACEHOLDER: &str = "AG-040";
/// A parameter used nowhere.
pub(crate) const UNUSED_PARAM: &str = "AG-041";
/// A limit of a parameter that does not go with its type.
pub(crate) const BAD_PARAM_LIMIT: &str = "AG-042";
/// A default, or a value given by a route, that the parameter refuses.
pub(crate) const BAD_PARAM_VALUE: &str = "AG-043";
/// A required parameter with a default.
pub(crate) const REQUIRED_WITH_DEFAULT: &str = "AG-044";
/// `aggregate: true` with a required parameter.
pub(crate) const AGGREGATE_REQUIRED: &str = "AG-045";
/// A key that does nothing beside another one.
pub(crate) const NO_EFFECT: &str = "AG-046";
/// A longer timeout inside a shorter one.
pub(crate) const TIMEOUT_ORDER: &str = "AG-047";
/// A breaker that can never open.
pub(crate) const BREAKER_NEVER: &str = "AG-048";
/// A window of a breaker that cannot work.
pub(crate) const BAD_WINDOW: &str = "AG-049";
/// More probes than successes wanted.
pub(crate) const PROBES: &str = "AG-050";
/// Statuses that may not be cached.
pub(crate) const NEGATIVE_STATUS: &str = "AG-051";
/// One selector with two meanings.
pub(crate) const SELECTOR_TWICE: &str = "AG-052";
/// Hedging where each attempt that loses costs a connection.
pub(crate) const HEDGE_PLAIN: &str = "AG-053";
/// A key of a client that can be guessed.
pub(crate) const WEAK_KEY: &str = "AG-110";
/// One key for two clients.
pub(crate) const KEY_TWICE: &str = "AG-111";
/// Something that looks at the keys of clients, where there are none.
pub(crate) const NO_KEYS: &str = "AG-112";
/// A path that begins at nothing there is.
pub(crate) const UNKNOWN_PART: &str = "AG-059";
/// A request that costs more than there ever is.
pub(crate) const COST_OVER_BURST: &str = "AG-113";
/// A limit of routes that there are none of.
pub(crate) const LIMITS_NO_ROUTE: &str = "AG-114";
/// A lower priority that may fill more than a higher one.
pub(crate) const SHED_ORDER: &str = "AG-120";
/// A path that is never shed, and is no route's.
pub(crate) const EXEMPT_NOTHING: &str = "AG-121";
/// Water marks that are not low < high ≤ max.
pub(crate) const WATER_MARKS: &str = "AG-122";
/// A name declared twice.
pub(crate) const DECLARED_TWICE: &str = "AG-060";
/// A source that is not declared.
pub(crate) const UNKNOWN_SOURCE: &str = "AG-061";
/// Fallbacks that come back to where they began.
pub(crate) const FALLBACK_CYCLE: &str = "AG-062";
/// Fallbacks of fallbacks, too many.
pub(crate) const FALLBACK_DEPTH: &str = "AG-063";
/// Not the path of a route.
pub(crate) const BAD_ROUTE_PATH: &str = "AG-064";
/// A path of aggd's own.
pub(crate) const RESERVED_PATH: &str = "AG-065";
/// Two paths of which the router could not tell which is meant.
pub(crate) const ROUTE_CLASH: &str = "AG-066";
/// More successes wanted than there are parts.
pub(crate) const MIN_SOURCES: &str = "AG-067";
/// A parameter that the source does not declare.
pub(crate) const UNKNOWN_PARAM: &str = "AG-068";
/// One part twice in a route.
pub(crate) const PART_TWICE: &str = "AG-069";
/// Not a rate.
pub(crate) const BAD_RATE: &str = "AG-080";
/// A cost that can never be paid, or that is no number.
pub(crate) const RATE_COST: &str = "AG-081";
/// Bounds or thresholds of a limit by which it could not work.
pub(crate) const LIMIT_BOUNDS: &str = "AG-082";
/// A test of a route that is not declared.
pub(crate) const UNKNOWN_ROUTE: &str = "AG-085";
/// A test of a part that the route does not have.
pub(crate) const PART_NOT_THERE: &str = "AG-086";
