// Where two frames agree: a veil over the cells that do not, so that what agrees stays bright.
const GREY = 0.72;

export function drawAgreement(context, at, cells) {
  const tall = at.height / cells.length, wide = at.width / cells[0].length;
  cells.forEach((row, down) => row.forEach((support, across) => {
    const x = at.x + across * wide, y = at.y + down * tall;
    context.fillStyle = `rgb(10 14 24 / ${(GREY * (1 - support)).toFixed(3)})`;
    context.fillRect(x, y, wide + 0.5, tall + 0.5);
    if (support > 0.25) {
      context.strokeStyle = `rgb(255 210 63 / ${support.toFixed(2)})`;
      context.lineWidth = 1.5;
      context.strokeRect(x + 1.5, y + 1.5, wide - 3, tall - 3);
    }
  }));
}
