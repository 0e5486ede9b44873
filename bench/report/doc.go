// Package report writes a bench.Report as text, JSON, CSV, benchmark lines, percentile files,
// Prometheus metrics, or a page with plots. It also compares reports and checks objectives.
// Every format takes its figures from the same tables; docs/bench-report.md explains them.
package report
