package redisdir

import (
	"context"
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// Generation implements directory.Directory.
func (d *Directory) Generation(ctx context.Context) (string, error) {
	client, err := d.server.up()
	if err != nil {
		return "", err
	}
	ctx, cancel := d.server.bounded(ctx)
	defer cancel()
	generation, err := d.server.generation(ctx, client, nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	return generation, nil
}
