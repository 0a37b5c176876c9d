/**
 * What every part of the page draws with: `html` makes elements of a template, in which a text is always a text.
 * No part sets markup from a string, so nothing that came from outside is ever read as markup.
 */
import { h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export { createContext, render } from "./vendor/preact.mjs";
export { useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";
export const html = htm.bind(h);
