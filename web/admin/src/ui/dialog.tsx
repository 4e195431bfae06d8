import { type ReactNode, type RefObject, useState } from "react";
import { Button, Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { t } from "../text.ts";
import { failureText } from "./failure.ts";
import { Icon } from "./icon.tsx";

interface SheetProps {
  title: string;
  open: boolean;
  onOpenChange(open: boolean): void;
  children: ReactNode;
  role?: "dialog" | "alertdialog";
}

/** A dialog in the middle of a desktop and at the bottom of a phone. Focus goes in, stays in, and goes back. */
export function Sheet({ title, open, onOpenChange, children, role = "dialog" }: SheetProps) {
  return (
    <ModalOverlay
      className="veil"
      isOpen={open}
      onOpenChange={onOpenChange}
      isDismissable={role === "dialog"}
    >
      <Modal className="sheet">
        <Dialog className="sheet-body" role={role}>
          <div className="sheet-head">
            <Heading slot="title" level={2}>
              {title}
            </Heading>
            {role === "dialog" && (
              <Button slot="close" className="button quiet icon" aria-label={t("action.close")}>
                <Icon name="close" />
              </Button>
            )}
          </div>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

/** A dialog at the side, as high as the window: for what is read and done beside a list. */
export function Drawer({ title, open, onOpenChange, children }: Omit<SheetProps, "role">) {
  return (
    <ModalOverlay className="veil side" isOpen={open} onOpenChange={onOpenChange} isDismissable>
      <Modal className="drawer">
        <Dialog className="drawer-body">
          <div className="sheet-head drawer-head">
            <Heading slot="title" level={2}>
              {title}
            </Heading>
            <Button slot="close" className="button quiet icon" aria-label={t("action.close")}>
              <Icon name="close" />
            </Button>
          </div>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

interface ConfirmProps {
  title: string;
  text: ReactNode;
  /** The act itself, as the button says it. */
  confirm: string;
  open: boolean;
  onOpenChange(open: boolean): void;
  /** Does it; the dialog waits, closes when it is done, and shows what went wrong otherwise. */
  act(): Promise<unknown>;
  after?(): void;
  /** Where the focus goes afterwards, when what opened the dialog disappears with the act. */
  landing?: RefObject<HTMLElement | null>;
  /** How it is done: controls between the question and the answers. */
  children?: ReactNode;
}

/** Later than the dialog's own attempt to give the focus back. */
const LANDING_MS = 80;

/** Puts the focus on `place` once a dialog has closed whose opener is gone. */
export function land(place: RefObject<HTMLElement | null>): void {
  setTimeout(() => place.current?.focus(), LANDING_MS);
}

/** Asks before something that cannot be taken back. The safe answer has the focus. */
export function Confirm({
  title,
  text,
  confirm,
  open,
  onOpenChange,
  act,
  after,
  landing,
  children,
}: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const change = (next: boolean) => {
    if (busy) return;
    setError(null);
    onOpenChange(next);
  };
  const run = async () => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      await act();
      onOpenChange(false);
      after?.();
      if (landing) land(landing);
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Sheet title={title} open={open} onOpenChange={change} role="alertdialog">
      <div className="stack">
        <div className="muted">{text}</div>
        {children}
        {error !== null && (
          <p className="notice danger" role="alert">
            {failureText(error)}
          </p>
        )}
        <div className="sheet-actions">
          <Button className="button" autoFocus onPress={() => change(false)} isDisabled={busy}>
            {t("action.cancel")}
          </Button>
          <Button className="button danger solid" onPress={run} data-pending={busy || undefined}>
            {confirm}
          </Button>
        </div>
      </div>
    </Sheet>
  );
}
