// The page on its way to paper. Its colours are the light ones and its width is the sheet's (the class `paper`, style.css)
// from before the print is laid out, so that what is drawn by script can be drawn for it; CSS alone comes too late.
import { useEffect, useState } from "preact/hooks";

export const onPaper = (): boolean => document.documentElement.classList.contains("paper");

export function usePaper(): boolean {
  const [paper, setPaper] = useState(onPaper);
  useEffect(() => {
    const media = matchMedia("print");
    const set = (on: boolean) => {
      document.documentElement.classList.toggle("paper", on);
      setPaper(on);
    };
    const before = () => set(true),
      after = () => set(media.matches);
    addEventListener("beforeprint", before);
    addEventListener("afterprint", after);
    media.addEventListener("change", after);
    after();
    return () => {
      removeEventListener("beforeprint", before);
      removeEventListener("afterprint", after);
      media.removeEventListener("change", after);
    };
  }, []);
  return paper;
}
