package record

const hasTicks = true

// ticks returns the processor's time-stamp counter (RDTSC). It has a constant rate on every
// processor since 2008.
func ticks() int64
