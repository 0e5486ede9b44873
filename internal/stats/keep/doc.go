// Package keep keeps what reports say about calls: rows of one and of five minutes, and a log of
// failures. One Keeper merges the reports of all processes.
//
// A Keeper is in the memory of its process (New), or in a file (Open). With a file, Take returns
// when the report is on the disk: its calls survive the end of the process, also by SIGKILL or a
// loss of power. Reports that come within a second share one write to the disk. A report that
// comes again, because its sender did not know that it was taken, is counted once.
//
// Everything is bounded by age and bytes (Config). The oldest is removed first, and counted
// (Stats).
package keep
