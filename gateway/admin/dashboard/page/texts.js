// All texts of the page, and the functions that put numbers into them.

const whole = new Intl.NumberFormat("en");
const count = (n) => whole.format(n);
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

export const t = {
  app: "sluice",
  pages: { overview: "Overview", failures: "Failures", live: "Live", alerts: "Alerts" },
  titled: (title, gateway) => `${title} – ${gateway ? gateway + " – " : ""}sluice`,
  skip: "Skip to the content", navigation: "Pages", loading: "Loading …",
  menu: "Menu", theme: "Theme", themes: { system: "System", light: "Light", dark: "Dark" },
  logOut: "Log out", operator: "Operator", noLogin: "no login needed",
  roles: { read: "may read", operate: "may operate" },
  cancel: "Cancel",

  // The login.
  loginTitle: "Log in", loginWhat: "Use a token of this gateway's token file, with the scope read or operate.",
  token: "Token", enter: "Log in", entering: "Logging in …",
  wrongToken: "This token is not valid here.",
  tooMany: "Too many attempts. Wait a minute.",
  noScope: "This token may not read. It needs the scope read or operate.",
  ended: "The session has ended. Log in again.",
  noAnswer: "The gateway does not answer.",

  // The state of the gateway, and of the connection to it.
  ready: "Ready", notReady: "Not ready", draining: "Draining", away: "Away",
  awayLong: (seconds) => seconds > 0 ? `The gateway does not answer. The next attempt is in ${seconds} s.` :
    "The gateway does not answer. Trying again …",
  awayOld: "What you see is from before.",
  tryNow: "Try now", refused: (why) => `The gateway has refused this: ${why}`,
  busy: "The gateway is busy. The page tries again.",

  // Time.
  range: "Time range", zoneOf: (zone) => `Times in ${zone}`, custom: "Custom …", from: "From", to: "To", apply: "Apply",
  presets: { "-15m": "15m", "-1h": "1h", "-6h": "6h", "-24h": "24h", "-168h": "7d", "-336h": "14d" },
  presetsLong: { "-15m": "Last 15 minutes", "-1h": "Last hour", "-6h": "Last 6 hours", "-24h": "Last 24 hours",
    "-168h": "Last 7 days", "-336h": "Last 14 days" },
  badRange: "The end must be after the beginning.",
  fixed: "a fixed time, without refresh",

  // Figures.
  clients: "Clients", messagesIn: "Messages in", messagesOut: "Messages out", workers: "Workers",
  links: "Links", availability: "Availability", calls: "Calls", failed: "Failed", perSecond: "/s",
  p50: "p50", p90: "p90", p95: "p95", p99: "p99", max: "max", mean: "mean",
  ofCalls: (n) => `of ${plural(n, "call", "calls")}`, noCalls: "no calls", failures: (n) => plural(n, "failure", "failures"),
  newClients: (rate) => `${rate} new`, waiting: (bytes) => `${bytes} waiting`, buffered: (bytes) => `${bytes} buffered`,
  drainingWorkers: (n) => `${count(n)} draining`, allTaking: "all take clients", noWorker: "none is connected",
  slowest: "of the slowest interface", p50is: (time) => `p50 ${time}`,

  // Curves.
  rate: "Calls", rateUnit: "per second", latency: "Latency", latencyUnit: "logarithmic", succeeded: "Succeeded", failedOwn: "Failed (own scale)",
  codes: "Failure codes", codesUnit: "failures per second", other: "other", code: (c) => `Code ${c}`,
  chartHelp: "Left and right move through time, Enter opens what can be done with it",
  pick: "This time", seeFailures: "Failures of this time", zoom: "Zoom in",
  tableOf: (name) => `${name}, table`, asTable: "Show as a table", time: "Time",
  nothingYet: "No calls in this time",

  // Availability.
  strip: "Availability by 5 minutes", stripUnit: "share of calls that succeeded",
  levels: { good: "≥ 99.99 %", fair: "≥ 99 %", poor: "≥ 98 %", bad: "< 98 %", none: "no calls" },
  levelNames: { good: "good", fair: "fair", poor: "poor", bad: "bad", none: "no calls" },
  cell: (when, level, share, n) => n === 0 ? `${when}: no calls` : `${when}: ${share}, ${level}, ${plural(n, "call", "calls")}`,

  // The table of modules and interfaces.
  modules: "Modules and interfaces", module: "Module", interface: "Interface", success: "Success", trend: "Trend",
  all: "All", filterModules: "Filter", noMatch: "Nothing has such a name.",
  interfaceList: "Interfaces", interfaces: (n) => plural(n, "interface", "interfaces"), inInterfaces: (n) => `in ${plural(n, "interface", "interfaces")}`,
  latest: "Latest failures", allFailures: "All failures", byCode: "By code",
  noFailures: "No failures in this time.",
  unknownModule: "There are no calls of this name in this time.",
  none: "–",

  // Nothing to see.
  noStats: "This gateway keeps no statistics",
  noStatsWhat: "It keeps them when it is started with --data DIR. With --stats-to URL it sends them to another one, whose dashboard shows them.",
  saidBy: (detail) => `(${detail})`,
  empty: "No calls yet", emptyWhat: "Nothing was called in this time. Handlers of workers record themselves; programs use package worker/stat.",
  failedLoad: "This cannot be shown", retry: "Try again",

  // The failure log.
  failureLog: "Failure log", anyModule: "All modules", anyInterface: "All interfaces",
  address: "Address", text: "Text", node: "Node", when: "When", timestamp: "Timestamp", codeField: "Code", textHint: "part of the text",
  addressHint: "address", codeHint: "code", clear: "Clear", older: "Older", newest: "Newest",
  noneYet: "Nothing yet", noneYetWhat: "The search has looked at a part of the log. Older goes on with it.",
  noneFound: "No failure matches", noneFoundWhat: "Choose a longer time, or clear the filters.",
  overTime: "Failures over time", notNarrowed: "not narrowed by address and text",
  onlyCode: "Only this code", onlyAddress: "Only this address", onlyInterface: "Only this interface", around: "5 minutes around it", curvesOf: "Curves of the interface",
  lost: (n) => `${plural(n, "failure is", "failures are")} not in the log, because there were too many. They are counted all the same.`,
  shownOf: (n) => `${plural(n, "failure", "failures")} on this page`,

  // Live.
  gateway: "Gateway", id: "Id", name: "Name", version: "Version", uptime: "Uptime", workerPort: "Worker port",
  listeners: "Listeners", url: "URL", connections: "Connections", accepted: "Accepted", refusedTotal: "Refused",
  eventLoops: "Event loops", loop: "Loop", in: "In", out: "Out", queued: "Queued", bufferedOutput: "Buffered",
  slow: "Slow", unacked: "Unacked", output: "Output", build: "Build", weight: "Weight", state: "State",
  states: { active: "active", draining: "draining", behind: "behind" }, pendingClients: "Pending",
  slowClients: "Slow clients", noSlow: "All clients read fast enough.", client: "Client", since: "Since",
  lastHeard: "Last heard", largestGroups: "Largest groups", group: "Group", noGroups: "No client is in a group.",
  noWorkers: "No worker is connected. Messages wait for one.",
  partOfGroups: (n) => `of the first ${plural(n, "group", "groups")} by name`,
  queuedWhat: "messages that wait for a worker", bufferedWhat: "output that waits for clients",
  slowWhat: "connections that do not read", worker: "Worker", agoText: (age) => `${age} ago`,
  sinceStart: "Since the start",
  totals: { clients_opened: "Clients connected", clients_closed: "Clients gone", messages_received: "Messages received",
    messages_sent: "Messages sent", messages_rejected: "Messages rejected", dead_letters: "Dead letters",
    messages_dropped: "Messages dropped", slow_closes: "Closed as too slow", handshakes_rejected: "Handshakes rejected" },
  actions: "Operate", kick: "Kick", drain: "Drain", logLevel: "Log level", setLevel: "Set",
  kickSure: (id) => `Close client ${id}? It is told, and may connect again.`,
  drainSure: "Drain this gateway? It takes no new clients, finishes what it has taken, and then the process ends.",
  drainNow: "Drain it", kickNow: "Close the client", kicked: "The client is closed.", drained: "The drain has begun.",
  levelSet: (level) => `The log level is ${level}.`, onlyOperate: "Your token may only read.",

  // Alerts.
  noAlerts: "This gateway has no alerts", noAlertsWhat: "Alerts look at statistics, and this gateway keeps none. Start it with --data DIR.",
  active: "Active alerts", allQuiet: "Nothing is wrong.", rules: "Rules", silences: "Silences", noRules: "There is no rule yet.",
  noSilences: "Nothing is silenced.", recent: "Recently over", noneRecent: "No alert has ended lately.", endedAt: "Ended",
  checkedAt: (time) => `checked at ${time}`, rule: "Rule", where: "Where", what: "What", severity: "Severity", firesWhen: "Fires when",
  webhooks: "Webhooks", noWebhooks: "There is no webhook. The configuration file names them.", source: "Source", sources: { file: "file", page: "page" },
  inFile: "in the file", edit: "Edit", remove: "Remove", end: "End", until: "Until", comment: "Comment", by: "By", kind: "Kind",
  kinds: { json: "JSON", slack: "Slack" }, sent: "Sent", waitingNow: "Waiting", dropped: "Dropped", lastError: "Last error",
  test: "Test", tested: (name) => `${name}: the test has arrived.`, notTested: (name, why) => `${name}: the test failed: ${why}.`,
  firingNow: (n) => plural(n, "alert fires", "alerts fire"), silence: "Silence", silenced: "silenced", silencedNow: "It is silenced.", silenceEnded: "The silence has ended.",
  alertStates: { firing: "firing", pending: "pending", resolved: "over" }, severities: { critical: "critical", warning: "warning", info: "info" },
  metrics: { availability: "Availability", mean: "Mean latency", p50: "Latency p50", p90: "Latency p90", p95: "Latency p95", p99: "Latency p99",
    max: "Longest call", rate: "Calls per second", failures: "Failures per second", no_data: "No calls" },
  sides: { below: "below", above: "above" }, units: { availability: "%", latency: "ms", rate: "per second", failures: "per second" },
  threshold: (unit) => `Threshold${unit ? `, ${unit}` : ""}`, clearsAt: (unit) => `Ends at${unit ? `, ${unit}` : ""}`,
  firing: (name, below, limit, window, wait) => `${name} ${below ? "below" : "above"} ${limit} over ${window}${wait ? `, for ${wait}` : ""}`,
  noDataFor: (window) => `No calls for ${window}`, everywhere: "each interface", anyRule: "Any rule", metric: "Metric",
  windowMinutes: "Over, minutes", forMinutes: "For, minutes", minCount: "Calls at least", newRule: "New rule", editRule: "Edit the rule", keep: "Save",
  ruleKept: (name) => `The rule ${name} is saved.`, ruleRemoved: (name) => `The rule ${name} is removed.`, removeSure: (name) => `Remove the rule ${name}?`,
  newSilence: "New silence", howLong: "How long", commentHint: "why",
  hours: { 0.5: "30 minutes", 1: "1 hour", 4: "4 hours", 24: "1 day", 168: "7 days" },
};

export { count, plural };
