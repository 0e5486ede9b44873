//go:build !linux

package engine

func (l *Loop) pin() {
	l.engine.cfg.Logger.Warn("engine: PinCPUs has no effect on this system")
}
