package demo

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
)

// encounter draws the sketch that goes with a report: two tracks that cross.
func encounter() ([]byte, error) {
	const w, h = 320, 200
	sea, grid := color.RGBA{230, 238, 245, 255}, color.RGBA{205, 218, 230, 255}
	ours, theirs := color.RGBA{30, 80, 160, 255}, color.RGBA{190, 40, 40, 255}
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := sea
			if x%40 == 0 || y%40 == 0 {
				c = grid
			}
			m.SetRGBA(x, y, c)
		}
	}
	for i := range 4 * w {
		x := float64(i) / 4
		dot(m, x, 110, ours)
		dot(m, x, 100+70*math.Cos(x/w*math.Pi), theirs)
	}
	var b bytes.Buffer
	err := png.Encode(&b, m)
	return b.Bytes(), err
}

func dot(m *image.RGBA, x, y float64, c color.RGBA) {
	for dy := -1; dy <= 1; dy++ {
		m.SetRGBA(int(x), int(y)+dy, c)
	}
}
