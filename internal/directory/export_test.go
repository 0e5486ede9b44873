package directory

// Flush does what a flush of a server does.
func (d *Memory) Flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.kinds {
		for key := range k.rows {
			d.remove(k, key)
		}
		k.change()
	}
	clear(d.sets)
	clear(d.boxes)
	d.epoch = 0
	d.generation++
	close(d.changed)
	d.changed = make(chan struct{})
}
