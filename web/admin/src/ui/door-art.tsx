import { t } from "../text.ts";

/** The street side of a stage door at night: the lamp, the sign, the light through the gap. Only to be looked at. */
export function DoorArt() {
  return (
    <svg viewBox="0 0 640 800" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      <defs>
        <linearGradient id="wall" x1="0" y1="0" x2="0" y2="1">
          <stop offset="0" stopColor="#090e11" />
          <stop offset="1" stopColor="#162024" />
        </linearGradient>
        <radialGradient id="halo" cx="0.5" cy="0.5" r="0.5">
          <stop offset="0" stopColor="#ffb84d" stopOpacity="0.5" />
          <stop offset="0.35" stopColor="#ffb84d" stopOpacity="0.16" />
          <stop offset="1" stopColor="#ffb84d" stopOpacity="0" />
        </radialGradient>
        <linearGradient id="inside" x1="0" y1="0" x2="0" y2="1">
          <stop offset="0" stopColor="#ffd690" />
          <stop offset="1" stopColor="#ffb238" />
        </linearGradient>
        <linearGradient id="spill" x1="0" y1="0" x2="0" y2="1">
          <stop offset="0" stopColor="#ffb84d" stopOpacity="0.62" />
          <stop offset="1" stopColor="#ffb84d" stopOpacity="0" />
        </linearGradient>
        <linearGradient id="leaf" x1="0" y1="0" x2="1" y2="0">
          <stop offset="0" stopColor="#1a252a" />
          <stop offset="1" stopColor="#26343a" />
        </linearGradient>
      </defs>
      <rect width="640" height="800" fill="url(#wall)" />
      <rect y="610" width="640" height="190" fill="#0b1114" />
      <path d="M0 610H640" stroke="#2a393f" strokeWidth="2" />
      <g className="lamp-flicker">
        <circle cx="335" cy="205" r="330" fill="url(#halo)" />
        <path d="M262 610H420L620 800H262z" fill="url(#spill)" />
      </g>
      <path d="M222 618V262H428V618" fill="none" stroke="#33434a" strokeWidth="14" />
      <rect x="229" y="269" width="192" height="341" fill="url(#inside)" />
      <path d="M229 269L318 300V668L229 610z" fill="url(#leaf)" />
      <path d="M318 300V668" stroke="#ffd690" strokeWidth="2" opacity="0.7" />
      <circle cx="302" cy="478" r="5" fill="#ffb84d" />
      <rect x="225" y="172" width="220" height="58" rx="8" fill="#0b1114" stroke="#33434a" strokeWidth="3" />
      <text
        x="335"
        y="210"
        textAnchor="middle"
        fontFamily="Hammersmith One, sans-serif"
        fontSize="25"
        letterSpacing="3"
        fill="#ffc977"
      >
        {t("app.sign")}
      </text>
      <path d="M470 128C470 96 335 84 335 118" fill="none" stroke="#33434a" strokeWidth="5" />
      <rect x="462" y="118" width="16" height="40" rx="4" fill="#33434a" />
      <path d="M303 146A32 30 0 0 1 367 146z" fill="#33434a" />
      <ellipse cx="335" cy="147" rx="24" ry="6" fill="#ffe0a8" />
    </svg>
  );
}
