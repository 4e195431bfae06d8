/** Controls with their label, hint and error: what forms are made of. */
import { type ReactNode, type Ref, useState } from "react";
import {
  Button,
  Checkbox,
  CheckboxGroup,
  ComboBox,
  FieldError,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  Radio,
  RadioGroup,
  Select,
  SelectValue,
  Switch,
  Tag,
  TagGroup,
  TagList,
  Text,
  TextArea,
  TextField,
} from "react-aria-components";
import { t } from "../text.ts";
import { Icon } from "./icon.tsx";

interface Worded {
  label: string;
  hint?: ReactNode;
  /** What is wrong with it; nothing when it is right. */
  error?: string | undefined;
}

interface TextInputProps extends Worded {
  value: string;
  onChange(value: string): void;
  type?: "text" | "email" | "tel" | "datetime-local" | "time" | "password";
  /** Only digits make sense: a phone shows them large. */
  numeric?: boolean;
  rows?: number;
  placeholder?: string;
  autoFocus?: boolean;
  lang?: string;
  inputRef?: Ref<HTMLInputElement>;
  areaRef?: Ref<HTMLTextAreaElement>;
  className?: string;
  /** Set after the control, as a unit is: `MB`. */
  after?: string;
  /** What a browser may fill in. */
  autoComplete?: string;
}

export function TextInput({
  label,
  hint,
  error,
  value,
  onChange,
  type = "text",
  numeric = false,
  rows,
  placeholder,
  autoFocus = false,
  lang,
  inputRef,
  areaRef,
  className = "",
  after,
  autoComplete = "off",
}: TextInputProps) {
  const input = (
    <Input
      className="input"
      {...(inputRef ? { ref: inputRef } : {})}
      {...(lang ? { lang } : {})}
      {...(placeholder ? { placeholder } : {})}
      {...(numeric ? { inputMode: "numeric" as const } : {})}
      autoFocus={autoFocus}
    />
  );
  return (
    <TextField
      className={`field ${className}`}
      value={value}
      onChange={onChange}
      type={type}
      isInvalid={error !== undefined}
      autoComplete={autoComplete}
    >
      <Label>{label}</Label>
      {rows !== undefined ? (
        <TextArea
          className="input area"
          rows={rows}
          {...(areaRef ? { ref: areaRef } : {})}
          {...(lang ? { lang } : {})}
          autoFocus={autoFocus}
        />
      ) : after === undefined ? (
        input
      ) : (
        <span className="with-unit">
          {input}
          <span className="muted">{after}</span>
        </span>
      )}
      <FieldError className="error">{error}</FieldError>
      {hint && (
        <Text slot="description" className="hint">
          {hint}
        </Text>
      )}
    </TextField>
  );
}

export interface Choice<K extends string> {
  readonly id: K;
  readonly name: string;
  readonly text?: string;
}

interface ChooseProps<K extends string> extends Worded {
  value: K;
  choices: readonly Choice<NoInfer<K>>[];
  onChange(value: K): void;
  className?: string;
  /** The label is only for those who do not see the place. */
  hideLabel?: boolean;
}

/** One of a list that opens. */
export function Choose<K extends string>({
  label,
  hint,
  error,
  value,
  choices,
  onChange,
  className = "",
  hideLabel = false,
}: ChooseProps<K>) {
  return (
    <Select
      className={`field ${className}`}
      value={value}
      onChange={(key) => onChange(String(key) as K)}
      isInvalid={error !== undefined}
    >
      <Label className={hideLabel ? "visually-hidden" : "label"}>{label}</Label>
      <Button className="input select">
        <SelectValue className="select-value" />
        <Icon name="chevron" />
      </Button>
      <FieldError className="error">{error}</FieldError>
      {hint && (
        <Text slot="description" className="hint">
          {hint}
        </Text>
      )}
      <Popover className="popover">
        <ListBox className="menu list-box" items={choices}>
          {(choice) => (
            <ListBoxItem id={choice.id} textValue={choice.name} className="menu-item">
              <span className="option">
                <span>{choice.name}</span>
                {choice.text && <span className="muted small">{choice.text}</span>}
              </span>
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </Select>
  );
}

interface SegmentsProps<K extends string> extends Worded {
  value: K;
  choices: readonly Choice<NoInfer<K>>[];
  onChange(value: K): void;
}

/** One of a few, side by side. */
export function Segments<K extends string>({
  label,
  hint,
  error,
  value,
  choices,
  onChange,
}: SegmentsProps<K>) {
  return (
    <RadioGroup
      className="field"
      orientation="horizontal"
      value={value}
      onChange={(chosen) => onChange(chosen as K)}
      isInvalid={error !== undefined}
    >
      <Label className="label">{label}</Label>
      <div className="segments">
        {choices.map((choice) => (
          <Radio key={choice.id} value={choice.id} className="segment">
            {choice.name}
          </Radio>
        ))}
      </div>
      <FieldError className="error">{error}</FieldError>
      {hint && (
        <Text slot="description" className="hint">
          {hint}
        </Text>
      )}
    </RadioGroup>
  );
}

/** One of a few that need a sentence each. */
export function Choices<K extends string>({ label, value, choices, onChange }: SegmentsProps<K>) {
  return (
    <RadioGroup className="field" value={value} onChange={(chosen) => onChange(chosen as K)}>
      <Label className="label">{label}</Label>
      <div className="choices">
        {choices.map((choice) => (
          <Radio key={choice.id} value={choice.id} className="choice">
            <span className="choice-dot" aria-hidden="true" />
            <span className="choice-body">
              <span className="choice-name">{choice.name}</span>
              {choice.text && <span className="choice-text">{choice.text}</span>}
            </span>
          </Radio>
        ))}
      </div>
    </RadioGroup>
  );
}

interface ChecksProps<K extends string> extends Worded {
  values: readonly K[];
  choices: readonly Choice<NoInfer<K>>[];
  onChange(values: K[]): void;
}

/** Any of a few. */
export function Checks<K extends string>({ label, hint, error, values, choices, onChange }: ChecksProps<K>) {
  return (
    <CheckboxGroup
      className="field"
      value={[...values]}
      onChange={(chosen) => onChange(chosen as K[])}
      isInvalid={error !== undefined}
    >
      <Label className="label">{label}</Label>
      <div className="checks">
        {choices.map((choice) => (
          <Checkbox key={choice.id} value={choice.id} className="check">
            <span className="check-box" aria-hidden="true">
              <Icon name="check" />
            </span>
            <span className="choice-body">
              <span>{choice.name}</span>
              {choice.text && <span className="choice-text">{choice.text}</span>}
            </span>
          </Checkbox>
        ))}
      </div>
      <FieldError className="error">{error}</FieldError>
      {hint && (
        <Text slot="description" className="hint">
          {hint}
        </Text>
      )}
    </CheckboxGroup>
  );
}

interface ToggleProps {
  on: boolean;
  onChange(on: boolean): void;
  children: ReactNode;
}

export function Toggle({ on, onChange, children }: ToggleProps) {
  return (
    <Switch className="toggle" isSelected={on} onChange={onChange}>
      <span className="toggle-track" aria-hidden="true" />
      <span>{children}</span>
    </Switch>
  );
}

interface TagInputProps extends Worded {
  values: readonly string[];
  onChange(values: string[]): void;
  /** What may be added; with `free`, anything typed. */
  choices: readonly Choice<string>[];
  free?: boolean;
  placeholder: string;
  /** How a chosen value is called, when not by itself. */
  nameOf?(value: string): string;
}

/** Several of a long list: typed to find, added by Enter, taken away by their own button. */
export function TagInput({
  label,
  hint,
  error,
  values,
  onChange,
  choices,
  free = false,
  placeholder,
  nameOf = (value) => value,
}: TagInputProps) {
  const offered = choices.filter((choice) => !values.includes(choice.id));
  const [typed, setTyped] = useState("");
  const add = (value: string) => {
    const trimmed = value.trim();
    if (trimmed !== "" && !values.includes(trimmed)) onChange([...values, trimmed]);
    setTyped("");
  };
  return (
    <div className="field tag-input">
      <ComboBox
        className="field"
        allowsCustomValue={free}
        // Nothing stays chosen in the box itself: what is chosen moves below it.
        value={null}
        onChange={(key) => key !== null && add(String(key))}
        inputValue={typed}
        onInputChange={setTyped}
        defaultItems={offered}
        isInvalid={error !== undefined}
        menuTrigger="focus"
      >
        <Label className="label">{label}</Label>
        <Input
          className="input"
          placeholder={placeholder}
          onKeyDown={(event) => {
            if (!free || (event.key !== "Enter" && event.key !== ",")) return;
            if (event.currentTarget.getAttribute("aria-activedescendant")) return;
            event.preventDefault();
            add(event.currentTarget.value);
          }}
          onBlur={(event) => free && add(event.currentTarget.value)}
        />
        <FieldError className="error">{error}</FieldError>
        {hint && (
          <Text slot="description" className="hint">
            {hint}
          </Text>
        )}
        <Popover className="popover">
          <ListBox className="menu list-box">
            {(choice: Choice<string>) => (
              <ListBoxItem id={choice.id} textValue={choice.name} className="menu-item">
                {choice.name}
              </ListBoxItem>
            )}
          </ListBox>
        </Popover>
      </ComboBox>
      {values.length > 0 && (
        <TagGroup
          aria-label={label}
          onRemove={(removed) => onChange(values.filter((value) => !removed.has(value)))}
        >
          <TagList className="tag-list">
            {values.map((value) => (
              <Tag key={value} id={value} textValue={nameOf(value)} className="tag removable">
                {nameOf(value)}
                <Button
                  slot="remove"
                  className="tag-remove"
                  aria-label={t("form.remove", { name: nameOf(value) })}
                >
                  <Icon name="close" />
                </Button>
              </Tag>
            ))}
          </TagList>
        </TagGroup>
      )}
    </div>
  );
}
