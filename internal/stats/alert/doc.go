// Package alert tells operators when calls go wrong.
//
// Alerts looks at what a keep.Keeper has, each ten seconds, in whole minutes. For each rule and
// each module and interface that it is about there is at most one alert. An alert is pending until
// its condition has held for Rule.For, and fires then. It ends when the value is past Rule.Clear,
// which differs from the threshold, so that an alert does not come and go with a value near it.
//
// An alert that fires, and its end, are a line in the log and a notification to webhooks. A silence
// holds back the notifications of the alerts that it is about, until it ends.
//
// Rules and webhooks are in a file. Further rules, and silences, are made with PutRule and Silence;
// they and the alerts that fire are kept in a file of their own, so that a restart neither forgets
// an alert nor tells of it again.
package alert
