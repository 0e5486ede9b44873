//go:build !linux

package engine

func (l *Loop) pin() {
	l.engine.cfg.Logger.Warn("PinCPUs has no effect on this system")
}
