// Package report turns a bench.Report into what people and programs read: text, JSON, CSV, benchmark lines, percentile files, metrics and a page with plots. Every figure
// has one place (measure), from which each form takes it; docs/bench-report.md says what each means.
// It compares two reports, and tells whether one keeps a promise.
package report
