import { type ReactNode, useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { t } from "../text.ts";
import { Icon, type IconName } from "./icon.tsx";
import { toast } from "./toast.tsx";

/** How long a button says that it copied. */
const SAID_MS = 2_000;

/**
 * Puts text on the clipboard. Away from HTTPS and localhost browsers offer no clipboard, so a selected
 * field and the old command take its place. Returns false when that fails too.
 */
export async function copyText(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Permission refused or the page lost focus: the old way may still work.
    }
  }
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  field.className = "visually-hidden";
  // Inside the dialog when one is open, which keeps the focus to itself.
  const host = before?.closest("[role=dialog],[role=alertdialog]") ?? document.body;
  host.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    if (before instanceof HTMLElement) before.focus();
  }
}

interface CopyButtonProps {
  text: string;
  /** Said politely once it is copied. */
  said: string;
  children: ReactNode;
  className?: string;
  icon?: IconName;
}

export function CopyButton({ text, said, children, className = "button", icon = "copy" }: CopyButtonProps) {
  const [state, setState] = useState<"ready" | "copied" | "failed">("ready");
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  const copy = async () => {
    const done = await copyText(text);
    if (done) toast(said);
    setState(done ? "copied" : "failed");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setState("ready"), SAID_MS);
  };

  const words = {
    ready: children,
    copied: t("action.copied"),
    failed: t("action.copy_failed"),
  }[state];
  return (
    <Button className={`${className} copy`} data-copied={state === "copied" || undefined} onPress={copy}>
      <Icon name={state === "copied" ? "check" : icon} />
      <span>{words}</span>
    </Button>
  );
}
