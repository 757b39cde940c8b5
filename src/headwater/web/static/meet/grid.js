// Where tiles go: as many as there are, as large as they can be.

const WIDEST = 16 / 9;
const TALLEST = 4 / 5; // where the rectangle stands upright
const SQUAREST = 4 / 3; // where it lies: a camera's picture loses little
export const LEAST_PX = 130; // narrower ones scroll

/**
 * The size of equal tiles in a rectangle.
 *
 * A tile is between 16:9 and 4:3, or 4:5 in a rectangle that stands upright: a phone is filled, too.
 *
 * @returns {{columns: number, width: number, height: number, scrolls: boolean}} pixels
 */
export function fit(count, width, height, gap) {
  const tallest = width > height ? SQUAREST : TALLEST;
  let best = { columns: 1, width: 0, height: 0, scrolls: false };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    let w = (width - gap * (columns - 1)) / columns;
    let h = (height - gap * (rows - 1)) / rows;
    if (w > h * WIDEST) w = h * WIDEST;
    else if (w < h * tallest) h = w / tallest;
    // Of equal areas the wider one: faces are beside each other.
    if (w > 0 && h > 0 && w * h > best.width * best.height * 1.01) best = { columns, width: w, height: h, scrolls: false };
  }
  if (best.width >= LEAST_PX || count === 0) return floor(best);
  const columns = Math.max(1, Math.floor((width + gap) / (LEAST_PX + gap)));
  const w = (width - gap * (columns - 1)) / columns;
  return floor({ columns, width: w, height: w * 0.75, scrolls: true });
}

const floor = (found) => ({ ...found, width: Math.floor(found.width), height: Math.floor(found.height) });
