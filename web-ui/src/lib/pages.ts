// The pages, in the order of the navigation. A new page is one line here (and its words in `messages.ts`): the address, the
// navigation and the frame read this list.

import type { Component } from 'svelte';
import CamerasPage from './CamerasPage.svelte';
import DriftPage from './DriftPage.svelte';
import HistoryPage from './HistoryPage.svelte';
import GaugePage from './GaugePage.svelte';
import GoldenPage from './GoldenPage.svelte';
import HealthPage from './HealthPage.svelte';
import FeaturesPage from './FeaturesPage.svelte';
import type { Live } from './live.svelte';
import LivePage from './LivePage.svelte';
import { driftMarks, reviewMarks, type NavMark } from './marks';
import ModelsPage from './ModelsPage.svelte';
import QualityPage from './QualityPage.svelte';
import ReplayPage from './ReplayPage.svelte';
import ReviewPage from './ReviewPage.svelte';
import type { Route } from './route';
import type { PlainKey } from './say';
import SetupPage from './SetupPage.svelte';

/** What every page is given; each takes what it needs. */
export interface PageProps {
  live: Live;
  /** A new one with every change of the address. */
  route: Route;
  /** The heat map is drawn over pictures. */
  overlay: boolean;
  onOverlay: () => void;
}

export interface Page {
  /** Its address is `#name`. */
  name: string;
  title: PlainKey;
  component: Component<PageProps> | Component<Record<string, never>>;
  /** What may follow the name, as in `#models/job-4`; without it nothing may. */
  at?: RegExp;
  /** Another name of it in addresses. */
  also?: string;
  /** Strokes in a square of 24. */
  icon: string;
  /** Begins a group in the navigation. */
  begins?: boolean;
  /** What is to be seen of it from every other page. */
  marks?: () => NavMark[];
}

// The first one is shown where the address names none.
export const PAGES: readonly Page[] = [
  { name: 'live', title: 'nav.live', component: LivePage, also: 'part', at: /^[1-9]\d*$/, icon: 'M2 12h4.500L9.500 4l5 16 3-8H22' },
  { name: 'review', title: 'nav.review', component: ReviewPage, marks: reviewMarks, begins: true, icon: 'M7 7V3h14v14h-4M3 7h14v14H3zM6.500 14l2.500 2.500 4.500-5' },
  { name: 'history', title: 'nav.history', component: HistoryPage, at: /./, icon: 'M4 5h16M4 10h16M4 15h10M4 20h7M18 14v4l2.500 2M18 22a4 4 0 1 0 0-8 4 4 0 0 0 0 8z' },
  { name: 'quality', title: 'nav.quality', component: QualityPage, at: /./, icon: 'M3 3v18h18M7 17v-4M11 17V8M15 17v-6M19 17V6' },
  { name: 'models', title: 'nav.models', component: ModelsPage, at: /^([0-9a-f]+|job-\d+)$/, begins: true, icon: 'M12 2 21 7v10l-9 5-9-5V7zM3 7l9 5 9-5M12 12v10' },
  { name: 'features', title: 'nav.features', component: FeaturesPage, icon: 'M3 3v18h18M8 8.500a1.200 1.200 0 1 0 0 .01M11 6a1.200 1.200 0 1 0 0 .01M12.500 9.500a1.200 1.200 0 1 0 0 .01M16 15a1.200 1.200 0 1 0 0 .01M18.500 12.500a1.200 1.200 0 1 0 0 .01M19 17a1.200 1.200 0 1 0 0 .01' },
  { name: 'drift', title: 'nav.drift', component: DriftPage, marks: driftMarks, icon: 'M3 3v18h18M6 16c4 0 5-1 7.500-4S18 6 21 5.500' },
  { name: 'replay', title: 'nav.replay', component: ReplayPage, at: /^\d+$/, icon: 'M4 12a8 8 0 1 0 2.300-5.700L4 8.500M4 3v5.500h5.500M12 8v4.500l3 2' },
  { name: 'golden', title: 'nav.golden', component: GoldenPage, begins: true, icon: 'M12 2l3 6.300 7 .900-5.100 4.800 1.300 6.900L12 17.600 5.800 20.900l1.300-6.900L2 9.200l7-.900z' },
  { name: 'gauge', title: 'nav.gauge', component: GaugePage, at: /^[1-9]\d*$/, icon: 'M3 15a9 9 0 0 1 18 0M12 15l4-6M3 19h18' },
  { name: 'health', title: 'nav.health', component: HealthPage, icon: 'M12 20C5 15 2.500 11.500 2.500 8a5 5 0 0 1 9.500-2 5 5 0 0 1 9.500 2c0 3.500-2.500 7-9.500 12zM6 10.500h3.500L11 8l2.500 5 1.500-2.500h3' },
  { name: 'setup', title: 'nav.setup', component: SetupPage, at: /^(guide|camera|regions|thresholds|recipes|plc)$/, icon: 'M4 6h9M17 6h3M4 12h3M11 12h9M4 18h9M17 18h3M15 4v4M9 10v4M15 16v4' },
  { name: 'cameras', title: 'nav.cameras', component: CamerasPage, icon: 'M3 7h4l2-3h6l2 3h4v13H3zM12 17a4 4 0 1 0 0-8 4 4 0 0 0 0 8z' },
];

export const pageOf = ({ page }: Route): Page => PAGES.find(({ name }) => name === page) ?? PAGES[0]!;
