// Package report turns a bench.Report into what people and programs read: text, JSON, CSV, benchmark lines, percentile files and a page with plots.
// It compares two of them, and tells whether one keeps a promise.
package report
